import type { LogInfo } from '@memplane/event-log';
import type { RocksEntry, RocksStore, WriteBatch } from '@memplane/rocks';
import { PLANE, shardRange, toKey } from '../domain/keys.ts';
import { decodeShard, encodeShard, type ShardRecord } from '../domain/shard-record.ts';
import { keyIn, ShardSplit, type Split } from '../domain/split-shard.ts';
import { shardKey } from './view-store.ts';

/** The store that holds both shards. */
export type SplitStore = Pick<
  RocksStore,
  'get' | 'scan' | 'scanAll' | 'snapshot' | 'batch' | 'write'
>;

/** Bounds of what is read, and of what is written, at once. */
export interface SplitSteps {
  readonly rows_max: number;
  readonly changes_max: number;
  readonly bytes_max: number;
}

const STEPS: SplitSteps = { rows_max: 1_024, changes_max: 2_048, bytes_max: 2 * 1024 * 1024 };

/**
 * Brings a shard to the epoch of its log: for each doubling since, what went to the new partition
 * moves there, in one pass over the rows. A row comes to the child and goes from the parent in one
 * write, which also says in the parent's record up to where the pass has come; the last one has both
 * records as they are from then on. So at any moment each row is in one of the two, and what a crash
 * has ended goes on behind the last write. Until the last one the child has no record: it counts as
 * empty, and the parent's is of the epoch before.
 *
 * The shards must not be open. A shard of an epoch has applied nothing beyond its barrier.
 */
export async function splitShard(
  rocks: SplitStore,
  info: LogInfo,
  partition: number,
  steps: SplitSteps = STEPS,
): Promise<void> {
  for (;;) {
    const record = await recordOf(rocks, partition);
    if (record === undefined) return;
    if (info.lineage === undefined || record.epoch >= info.epoch) return;
    const before = info.partitions / 2 ** (info.epoch - record.epoch);
    const split = { partition, child: partition + before, partitions: 2 * before };
    const known = await recordOf(rocks, split.child);
    const isThere = known !== undefined && known.epoch > record.epoch;
    if (!isThere && record.splitting === undefined) {
      await clear(rocks, split.child, [...record.tenants, ...(known?.tenants ?? [])]);
    }
    await new Splitter(rocks, { record, split, isThere }, steps).run();
  }
}

async function recordOf(rocks: SplitStore, partition: number): Promise<ShardRecord | undefined> {
  const row = await rocks.get(shardKey(partition));
  return row === null ? undefined : decodeShard(row);
}

async function clear(rocks: SplitStore, partition: number, tenants: readonly string[]) {
  const cleared = rocks.batch();
  for (const tenant of new Set([PLANE, ...tenants])) {
    const range = shardRange(tenant, partition);
    const [first] = await rocks.scanAll({ ...range, limit: 1 });
    if (first !== undefined) cleared.deleteRange(range.gte, range.lt);
  }
  await rocks.write(cleared);
}

interface Splittable {
  readonly record: ShardRecord;
  readonly split: Split;
  /** The child is of this epoch already: what would move is only removed. */
  readonly isThere: boolean;
}

/** One pass over a shard. While a batch is written, the next one is made of rows that were read. */
class Splitter {
  readonly #rocks: SplitStore;
  readonly #of: Splittable;
  readonly #steps: SplitSteps;
  readonly #deciding: ShardSplit;
  #batch: WriteBatch;
  #writing: Promise<void> = Promise.resolve();

  constructor(rocks: SplitStore, of: Splittable, steps: SplitSteps) {
    this.#rocks = rocks;
    this.#of = of;
    this.#steps = steps;
    this.#deciding = new ShardSplit(of.split, of.record.splitting?.moved);
    this.#batch = rocks.batch();
  }

  async run(): Promise<void> {
    const { record, split, isThere } = this.#of;
    const { splitting } = record;
    const all = [PLANE, ...record.tenants];
    const left = splitting === undefined ? all : all.slice(all.indexOf(splitting.tenant));
    try {
      for (const tenant of left) {
        const after = splitting?.tenant === tenant ? splitting.key : undefined;
        await this.#tenant(tenant, after);
      }
      const { parent, child } = this.#deciding.finish(record);
      this.#batch.put(shardKey(split.partition), encodeShard(parent));
      if (!isThere) this.#batch.put(shardKey(split.child), encodeShard(child));
      this.#write();
    } finally {
      await this.#writing;
    }
  }

  async #tenant(tenant: string, after: string | undefined): Promise<void> {
    const range = shardRange(tenant, this.#of.split.partition);
    const move = tenant === PLANE ? this.#moveOwn : this.#moveRow;
    const { rows_max: chunkRows, bytes_max: chunkBytes } = this.#steps;
    const bounds = after === undefined ? range : { gt: toKey(after), lt: range.lt };
    const chunks = this.#rocks.scan({ ...bounds, chunkRows, chunkBytes });
    try {
      let next = chunks.next();
      for (;;) {
        const { value: rows, done } = await next;
        if (done === true) return;
        next = chunks.next();
        next.catch(() => {}); // it is awaited, unless something else fails before
        for (const row of rows) {
          move.call(this, tenant, row);
          if (this.#isFull) await this.#step(tenant, row.key);
        }
      }
    } finally {
      await chunks.return();
    }
  }

  #moveRow(tenant: string, row: RocksEntry): void {
    if (!this.#deciding.moves(tenant, row)) return;
    const { split, isThere } = this.#of;
    if (!isThere) this.#batch.put(keyIn(split.child, tenant, row.key), row.value);
    this.#batch.delete(row.key);
  }

  #moveOwn(tenant: string, row: RocksEntry): void {
    const { split, isThere } = this.#of;
    const { inParent, inChild } = this.#deciding.fateOfOwn(row);
    if (inChild !== undefined && !isThere) {
      this.#batch.put(keyIn(split.child, tenant, row.key), inChild);
    }
    if (inParent === undefined) this.#batch.delete(row.key);
    else if (inParent !== row.value) this.#batch.put(row.key, inParent);
  }

  get #isFull(): boolean {
    const { size, byteLength } = this.#batch;
    return size >= this.#steps.changes_max || byteLength >= this.#steps.bytes_max;
  }

  /** Writes what has gathered, and that the pass has come to a row, once what is before is written. */
  async #step(tenant: string, key: Buffer): Promise<void> {
    const { record, split } = this.#of;
    const { moved } = this.#deciding;
    const at = { child: split.child, tenant, key: key.toString('latin1'), moved };
    const row = encodeShard({ ...record, splitting: at });
    this.#batch.put(shardKey(split.partition), row);
    await this.#writing;
    this.#write();
  }

  #write(): void {
    const batch = this.#batch;
    this.#batch = this.#rocks.batch();
    this.#writing = this.#writing.then(() => this.#rocks.write(batch));
    this.#writing.catch(() => {}); // it is awaited before the next one
  }
}
