import { hlcToMs } from '@memplane/clock';
import { MemplaneError, partitionKey } from '@memplane/contracts';
import { type Logger, pause } from '@memplane/runtime';
import { sealedKeyId } from '@memplane/runtime/sealing';
import { isEventRow, ShardKeys, toKey } from '../domain/keys.ts';
import { decodeHistory } from '../domain/rows.ts';
import type { Shard } from '../shard.ts';
import { BackgroundLoop } from './background-loop.ts';
import { clearingsOf, type ShardClearing, saveClearing } from './clearing-rows.ts';
import { checkOpen } from './entity-pruner.ts';
import { erasedRows } from './erased-rows.ts';
import type { ViewStore } from './view-store.ts';

export interface ErasureClearerPorts {
  readonly store: ViewStore;
  /** Those that are here. */
  readonly shards: Iterable<Shard>;
  /** Drops what is in memory of a shard's past. */
  readonly forget: (shard: Shard) => void;
  /**
   * Replaces what was published of a shard, and of the archive, where it has anything of before
   * erasures, by partition key.
   */
  readonly republish: (shard: Shard, erasures: ReadonlyMap<string, number>) => Promise<void>;
  readonly logger: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

const RETRY_MS_MAX = 30_000;
const READS_TIMEOUT_MS = 60_000;

/**
 * Removes what erased entities have left in the views: first their rows, then, for all that are due
 * together, what files still hold of them, and at last what was published. From the moment that an
 * erasure is applied nothing of it is shown; after a crash clearing begins anew.
 */
export class ErasureClearer extends BackgroundLoop {
  readonly #ports: ErasureClearerPorts;
  readonly #tickMs: number;

  constructor(ports: ErasureClearerPorts, { erasureTickMs }: { readonly erasureTickMs: number }) {
    super();
    this.#ports = ports;
    this.#tickMs = erasureTickMs;
  }

  protected async run(): Promise<void> {
    const signal = this.stopping;
    let failures = 0;
    while (!signal.aborted) {
      try {
        await this.#tick();
        failures = 0;
      } catch (err) {
        if (signal.aborted) return;
        failures++;
        this.#ports.logger.warn({ err }, 'clearing what is erased goes on later');
      }
      await pause(Math.min(RETRY_MS_MAX, this.#tickMs * 2 ** Math.min(failures, 16)), signal);
    }
  }

  async #tick(): Promise<void> {
    const { store, shards, forget, republish, now } = this.#ports;
    const due = await clearingsOf(store, shards, (one) => one.clearedAtMs === undefined);
    if (due.length === 0) return;
    const cleared: ShardClearing[] = [];
    for (const one of due) cleared.push(await this.#noted(one));
    const groups = Map.groupBy(cleared, ({ shard, tenant }) => `${shard.partition} ${tenant}`);
    for (const group of groups.values()) await this.#clearRows(group);
    await this.#purge();
    for (const { shard } of cleared) forget(shard);
    for (const [shard, own] of Map.groupBy(cleared, (one) => one.shard)) {
      const erasures = new Map(
        own.map(({ tenant, entity, clearing }) => [partitionKey(tenant, entity), clearing.offset]),
      );
      await republish(shard, erasures);
    }
    const clearedAtMs = now();
    for (const one of cleared) {
      await saveClearing(store, { ...one, clearing: { ...one.clearing, clearedAtMs } });
    }
  }

  /**
   * Notes what can't be known any more once the rows are gone: until when the log has plain events,
   * and whether their views may have been published.
   */
  async #noted(one: ShardClearing): Promise<ShardClearing> {
    const { shard, tenant, entity, clearing } = one;
    if (clearing.isPublished !== undefined) return one;
    const { store } = this.#ports;
    const keys = new ShardKeys(tenant, shard.partition);
    let plainUpToMs = 0;
    let isPublished: boolean | undefined;
    const range = {
      gte: toKey(keys.histories(entity)),
      lt: toKey(keys.event(entity, clearing.offset)),
      chunkRows: 16,
    };
    for await (const rows of store.rocks.scan(range)) {
      for (const { key, value } of rows) {
        // What was before the first event that is kept may have been plain.
        isPublished ??= !isEventRow(key);
        if (!isEventRow(key)) continue;
        const { event, maxHlc } = decodeHistory(value);
        if (sealedKeyId(event) === undefined) plainUpToMs = Math.max(plainUpToMs, hlcToMs(maxHlc));
      }
    }
    const plain = plainUpToMs === 0 ? {} : { plainUpToMs };
    isPublished = (isPublished ?? true) || plainUpToMs > 0;
    const noted = { ...one, clearing: { ...clearing, ...plain, isPublished } };
    await saveClearing(store, noted);
    return noted;
  }

  async #clearRows(group: readonly ShardClearing[]): Promise<void> {
    const [first] = group;
    if (first === undefined) return;
    const { shard, tenant } = first;
    const { store } = this.#ports;
    const keys = new ShardKeys(tenant, shard.partition);
    const erasures = new Map(group.map(({ entity, clearing }) => [entity, clearing.offset]));
    for await (const rows of erasedRows(store.rocks, keys, erasures)) {
      this.stopping.throwIfAborted();
      if (rows.length === 0) continue;
      await shard.exclusively(async () => {
        checkOpen(shard);
        const batch = store.rocks.batch();
        for (const { key } of rows) batch.delete(key);
        await store.rocks.write(batch);
      });
    }
  }

  /**
   * What rows had been goes from all files: the store is rewritten, and opened anew for a manifest that
   * tells only of the files there are. Nobody writes meanwhile to what is being closed.
   */
  async #purge(): Promise<void> {
    const { store, shards } = this.#ports;
    // A read keeps what it may yet show, whatever is removed and rewritten meanwhile.
    if (!(await store.readsEnded(READS_TIMEOUT_MS))) {
      throw new MemplaneError('not_yet_visible', 'Reads under way are of before the erasure.');
    }
    const reopen = () => exclusivelyAll([...shards], () => store.reopen());
    // So does an export of a shard, which breaks off, and is asked for again.
    if ((await store.rocks.property('rocksdb.num-snapshots')) !== '0') await reopen();
    await store.rocks.purge();
    await reopen();
  }
}

/** Runs a work while no shard is being written to. */
function exclusivelyAll<T>(shards: readonly Shard[], work: () => Promise<T>): Promise<T> {
  const [first, ...rest] = shards;
  if (first === undefined) return work();
  return first.exclusively(() => exclusivelyAll(rest, work));
}
