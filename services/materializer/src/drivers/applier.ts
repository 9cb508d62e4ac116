import type { CloudEvent } from '@memplane/contracts';
import type { LogRecord } from '@memplane/event-log';
import type { RocksStore, WriteBatch } from '@memplane/rocks';
import type { TracedEvent } from '@memplane/runtime';
import {
  type ApplyCounts,
  type ApplySettings,
  BatchFold,
  type LoadedRow,
} from '../domain/apply-batch.ts';
import { after, isEventRow, toKey, toKeys } from '../domain/keys.ts';
import { type ParsedRecord, parseRecord } from '../domain/parse-record.ts';
import { decodeHistory, decodeMemory } from '../domain/rows.ts';
import type { ShardRecord } from '../domain/shard-record.ts';
import type { RowSink, WorkingEntity } from '../domain/working-entity.ts';
import type { WorkingSet } from './working-set.ts';

export interface FoldedBatch {
  readonly shard: ShardRecord;
  readonly counts: ApplyCounts;
  readonly records: number;
  /** The stamp of the last record. */
  readonly lastHlc: bigint;
  readonly traced: readonly TracedEvent[];
  /** Everything that the batch changes. */
  readonly writes: WriteBatch;
  /** To be called once the batch is in the store: what it has worked out may then be used again. */
  readonly written: () => void;
}

/**
 * Records that are taken apart at once: what is made of them is gone before the next ones come. Where
 * their rows have to be read it is all of them, for one read.
 */
const PART_RECORDS = 64;

/**
 * Reads the rows that a batch needs and folds it. Nothing is written yet.
 * @param known what earlier batches of this shard have found out
 * @throws MemplaneError `storage_damaged` for a record that can't be read
 */
export async function foldRecords(
  rocks: RocksStore,
  before: ShardRecord,
  partition: number,
  records: readonly LogRecord[],
  settings: ApplySettings,
  known?: WorkingSet,
): Promise<FoldedBatch> {
  known?.begin(before.applied);
  const rows = new RowCollector(rocks.batch());
  const fold = new BatchFold(partition, before, settings, rows, known);
  const traced: TracedEvent[] = [];
  const step = known?.keys.isComplete === true ? PART_RECORDS : records.length;
  for (let at = 0; at < records.length; at += step) {
    const part = records.slice(at, at + step).map(parseRecord);
    const needed = fold.take(part).filter((row) => known?.mayBeStored(row.key) ?? true);
    if (needed.length > 0) await load(rocks, needed);
    const ages = fold.agesNeeded();
    if (ages.length > 0) await load(rocks, ages);
    const memories = fold.memoriesNeeded();
    if (memories.length > 0) await Promise.all(memories.map((of) => loadMemories(rocks, of)));
    for (const erased of fold.erasing()) {
      erased.storedIds = await storedIds(rocks, erased.prefix);
    }
    fold.fold();
    for (const record of part) trace(record, traced);
    rows.flush();
  }
  const { shard, counts, entities } = fold.finish();
  return {
    shard,
    counts,
    records: records.length,
    lastHlc: records.at(-1)?.hlc ?? 0n,
    traced,
    writes: rows.flush(),
    written: () => known?.commit(shard.applied, entities),
  };
}

async function load(rocks: RocksStore, needed: readonly LoadedRow[]): Promise<void> {
  const values = await rocks.getMany(toKeys(needed.map((row) => row.key)));
  for (let i = 0; i < needed.length; i++) (needed[i] as LoadedRow).value = values[i] ?? null;
}

function trace({ event, entity, offset }: ParsedRecord, traced: TracedEvent[]): void {
  const { traceparent } = event;
  if (traceparent !== undefined) traced.push({ traceparent, entity, offset });
}

/** Gathers rows, so that the bytes of many keys are made in one go. */
class RowCollector implements RowSink {
  readonly #batch: WriteBatch;
  readonly #keys: string[] = [];
  readonly #values: (Uint8Array | undefined)[] = [];

  constructor(batch: WriteBatch) {
    this.#batch = batch;
  }

  put(key: string, value: Uint8Array): void {
    this.#keys.push(key);
    this.#values.push(value);
  }

  delete(key: string): void {
    this.#keys.push(key);
    this.#values.push(undefined);
  }

  /** Hands on what has come since the last time. */
  flush(): WriteBatch {
    const keys = toKeys(this.#keys);
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i] as Uint8Array;
      const value = this.#values[i];
      if (value === undefined) this.#batch.delete(key);
      else this.#batch.put(key, value);
    }
    this.#keys.length = 0;
    this.#values.length = 0;
    return this.#batch;
  }
}

/** The ids of all events of an entity. */
async function storedIds(rocks: RocksStore, prefix: string): Promise<string[]> {
  const ids: string[] = [];
  for await (const rows of rocks.scan({ gte: toKey(prefix), lt: toKey(after(prefix)) })) {
    for (const { key, value } of rows) {
      if (!isEventRow(key)) continue;
      ids.push((JSON.parse(decodeHistory(value).event.toString()) as CloudEvent).id);
    }
  }
  return ids;
}

async function loadMemories(
  rocks: RocksStore,
  { prefix, entity }: { readonly prefix: string; readonly entity: WorkingEntity },
): Promise<void> {
  const range = { gte: toKey(prefix), lt: toKey(after(prefix)) };
  for (const { key, value } of await rocks.scanAll({ ...range, limit: Number.POSITIVE_INFINITY })) {
    const id = key.toString('utf8', prefix.length);
    // What the batch has changed already counts.
    if (entity.memories.has(id)) continue;
    const { offset, expiresMs, json } = decodeMemory(value);
    entity.memories.set(id, { offset, expiresMs, json: json.toString() });
  }
}
