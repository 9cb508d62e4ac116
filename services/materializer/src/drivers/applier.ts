import type { LogRecord } from '@memplane/event-log';
import type { RocksStore, WriteBatch } from '@memplane/rocks';
import { type ApplyCounts, type ApplySettings, BatchFold } from '../domain/apply-batch.ts';
import { after, toKey, toKeys } from '../domain/keys.ts';
import { type ParsedRecord, parseRecord } from '../domain/parse-record.ts';
import { decodeMemory } from '../domain/rows.ts';
import type { ShardRecord } from '../domain/shard-record.ts';
import type { RowSink, WorkingEntity } from '../domain/working-entity.ts';

export interface FoldedBatch {
  readonly shard: ShardRecord;
  readonly counts: ApplyCounts;
  readonly records: readonly ParsedRecord[];
  /** Everything that the batch changes. */
  readonly writes: WriteBatch;
}

/**
 * Reads the rows that a batch needs and folds it. Nothing is written yet.
 * @throws MemplaneError `storage_damaged` for a record that can't be read
 */
export async function foldRecords(
  rocks: RocksStore,
  before: ShardRecord,
  partition: number,
  records: readonly LogRecord[],
  settings: ApplySettings,
): Promise<FoldedBatch> {
  const parsed = records.map(parseRecord);
  const fold = new BatchFold(partition, parsed, settings);
  const needed = fold.rowsNeeded();
  const values = await rocks.getMany(toKeys(needed.map((row) => row.key)));
  for (const [i, row] of needed.entries()) row.value = values[i] ?? null;
  await Promise.all(
    fold.memoriesNeeded().map(({ prefix, entity }) => loadMemories(rocks, prefix, entity)),
  );
  const rows = new RowCollector();
  const { shard, counts } = fold.run(before, rows);
  return { shard, counts, records: parsed, writes: rows.into(rocks.batch()) };
}

/** Gathers rows, so that the bytes of all their keys are made in one go. */
class RowCollector implements RowSink {
  readonly #keys: string[] = [];
  readonly #values: (Uint8Array | undefined)[] = [];

  put(key: string, value: Uint8Array): void {
    this.#keys.push(key);
    this.#values.push(value);
  }

  delete(key: string): void {
    this.#keys.push(key);
    this.#values.push(undefined);
  }

  into(batch: WriteBatch): WriteBatch {
    for (const [i, key] of toKeys(this.#keys).entries()) {
      const value = this.#values[i];
      if (value === undefined) batch.delete(key);
      else batch.put(key, value);
    }
    return batch;
  }
}

async function loadMemories(
  rocks: RocksStore,
  prefix: string,
  entity: WorkingEntity,
): Promise<void> {
  const range = { gte: toKey(prefix), lt: toKey(after(prefix)) };
  for await (const rows of rocks.scan(range)) {
    for (const { key, value } of rows) {
      const { offset, expiresMs, json } = decodeMemory(value);
      const id = key.toString('utf8', prefix.length);
      entity.memories.set(id, { offset, expiresMs, json: json.toString() });
    }
  }
}
