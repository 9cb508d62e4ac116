import type { LogInfo } from '@memplane/event-log';
import type { RocksStore, WriteBatch } from '@memplane/rocks';
import { PLANE, shardRange } from '../domain/keys.ts';
import { decodeShard, encodeShard, type ShardRecord } from '../domain/shard-record.ts';
import {
  keyIn,
  type RowFate,
  ShardSplit,
  type Split,
  type SplitRow,
} from '../domain/split-shard.ts';
import { shardKey } from './view-store.ts';

/** The store that holds both shards. */
export type SplitStore = Pick<RocksStore, 'get' | 'scan' | 'snapshot' | 'batch' | 'write'>;

/** Changes that are written at once. */
const STEP_CHANGES_MAX = 2_048;
const STEP_BYTES_MAX = 1024 * 1024;

/**
 * Brings a shard to the epoch of its log: for each doubling since, what went to the new partition
 * moves there. In three parts, of which the second is one write, the split itself:
 *
 * 1. what moves is copied; the child has no record yet, so it counts as empty, after a crash too
 * 2. the child's record, and the parent's, which says that it still has what moved
 * 3. what moved is removed from the parent; its record says that it is done
 *
 * The shards must not be open. A shard of an epoch has applied nothing beyond its barrier.
 */
export async function splitShard(
  rocks: SplitStore,
  info: LogInfo,
  partition: number,
  stepChangesMax = STEP_CHANGES_MAX,
): Promise<void> {
  for (;;) {
    const record = await recordOf(rocks, partition);
    if (record === undefined) return;
    if (record.shedding !== undefined) {
      await shed(new Steps(rocks, stepChangesMax), record, { partition, ...record.shedding });
      continue;
    }
    if (info.lineage === undefined || record.epoch >= info.epoch) return;
    const before = info.partitions / 2 ** (info.epoch - record.epoch);
    const split = { partition, child: partition + before, partitions: 2 * before };
    await openChild(new Steps(rocks, stepChangesMax), record, split);
  }
}

async function recordOf(rocks: SplitStore, partition: number): Promise<ShardRecord | undefined> {
  const row = await rocks.get(shardKey(partition));
  return row === null ? undefined : decodeShard(row);
}

async function openChild(steps: Steps, record: ShardRecord, split: Split): Promise<void> {
  const { rocks } = steps;
  const { partition, child, partitions } = split;
  const deciding = new ShardSplit(split);
  // What there may be of it is from a split that a crash ended.
  const known = await recordOf(rocks, child);
  const tenants = [PLANE, ...new Set([...record.tenants, ...(known?.tenants ?? [])])];
  const isThere = known !== undefined && known.epoch > record.epoch;
  if (!isThere) {
    const cleared = rocks.batch();
    for (const tenant of tenants) {
      const { gte, lt } = shardRange(tenant, child);
      cleared.deleteRange(gte, lt);
    }
    await rocks.write(cleared);
  }
  for await (const { tenant, row } of rowsOf(rocks, partition, [PLANE, ...record.tenants])) {
    const { inChild } = deciding.fateOf(tenant, row);
    if (isThere || inChild === undefined) continue;
    steps.batch.put(keyIn(child, tenant, row.key), inChild);
    await steps.room();
  }
  await steps.end();
  const records = deciding.finish(record);
  const shedding = { child, partitions };
  const both = rocks.batch().put(shardKey(partition), encodeShard({ ...records.parent, shedding }));
  if (!isThere) both.put(shardKey(child), encodeShard(records.child));
  await rocks.write(both);
}

async function shed(steps: Steps, record: ShardRecord, split: Split): Promise<void> {
  const { rocks } = steps;
  const { partition } = split;
  const deciding = new ShardSplit(split);
  for await (const { row } of rowsOf(rocks, partition, [PLANE])) {
    changeOf(steps.batch, row, deciding.fateOf(PLANE, row));
    await steps.room();
  }
  // Of what has moved the values are half of the store: they need not be read to be removed.
  for await (const { tenant, row } of rowsOf(rocks, partition, record.tenants, false)) {
    if (deciding.hasMoved(tenant, row.key)) steps.batch.delete(row.key);
    await steps.room();
  }
  await steps.end();
  const { shedding: _, ...done } = record;
  await rocks.write(rocks.batch().put(shardKey(partition), encodeShard(done)));
}

function changeOf(batch: WriteBatch, { key, value }: SplitRow, { inParent }: RowFate): void {
  if (inParent === undefined) batch.delete(key);
  else if (inParent !== value) batch.put(key, inParent);
}

async function* rowsOf(
  rocks: SplitStore,
  partition: number,
  tenants: readonly string[],
  values = true,
): AsyncGenerator<{ readonly tenant: string; readonly row: SplitRow }> {
  const snapshot = rocks.snapshot();
  try {
    for (const tenant of tenants) {
      const range = shardRange(tenant, partition);
      for await (const rows of rocks.scan({ ...range, values, snapshot })) {
        for (const row of rows) yield { tenant, row };
      }
    }
  } finally {
    snapshot.close();
  }
}

/** Writes in steps of a bounded size. */
class Steps {
  readonly rocks: SplitStore;
  readonly #changesMax: number;
  batch: WriteBatch;

  constructor(rocks: SplitStore, changesMax: number) {
    this.rocks = rocks;
    this.#changesMax = changesMax;
    this.batch = rocks.batch();
  }

  async room(): Promise<void> {
    const { size, byteLength } = this.batch;
    if (size >= this.#changesMax || byteLength >= STEP_BYTES_MAX) await this.end();
  }

  async end(): Promise<void> {
    if (this.batch.size > 0) await this.rocks.write(this.batch);
    this.batch = this.rocks.batch();
  }
}
