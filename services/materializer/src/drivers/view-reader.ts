import { MemplaneError } from '@memplane/contracts';
import type { RocksEntry, RocksSnapshot, RocksStore } from '@memplane/rocks';
import {
  after,
  isEventRow,
  offsetAtEnd,
  PLANE,
  ShardKeys,
  stampText,
  toKey,
} from '../domain/keys.ts';
import { type HistoryEntry, PastFold, type PastState } from '../domain/past-state.ts';
import {
  decodeErased,
  decodeHead,
  decodeMemory,
  type Head,
  type MemoryRow,
} from '../domain/rows.ts';
import { decodeShard, type ShardRecord } from '../domain/shard-record.ts';
import { lastOffsetUpTo, readTimeline, stampAt } from '../domain/timeline.ts';
import { shardKey } from './view-store.ts';

/** Rows that the steps of a read of the past fetch. */
const PAST_ROWS_FIRST = 12;
const PAST_ROWS_MAX = 256;
/** Memories that one step of a read fetches. */
const MEMORY_ROWS_MAX = 256;

/** A state of the past, with the rows that it was made of, oldest first. */
export interface ReadPast {
  readonly past: PastState | undefined;
  readonly rows: readonly HistoryEntry[];
  /** Whether nothing of the history is before them. */
  readonly isFirst: boolean;
}

/** Reads the views in one snapshot of the store. */
export class ViewReader {
  readonly rocks: RocksStore;
  readonly snapshot: RocksSnapshot;

  constructor(rocks: RocksStore, snapshot: RocksSnapshot) {
    this.rocks = rocks;
    this.snapshot = snapshot;
  }

  getMany(keys: readonly Uint8Array[]): Promise<(Buffer | null)[]> {
    return this.rocks.getMany(keys, this.snapshot);
  }

  get(key: string): Promise<Buffer | null> {
    return this.rocks.get(toKey(key), this.snapshot);
  }

  async shards(partitions: number): Promise<(ShardRecord | undefined)[]> {
    const rows = await this.getMany(Array.from({ length: partitions }, (_, p) => shardKey(p)));
    return rows.map((row) => (row === null ? undefined : decodeShard(row)));
  }

  /** The head of an entity and the record of its shard, in one step. */
  async head(
    keys: ShardKeys,
    entity: string,
  ): Promise<{ head: Head | undefined; shard: ShardRecord | undefined }> {
    const [head, shard] = await this.getMany([toKey(keys.head(entity)), shardKey(keys.partition)]);
    return {
      head: head ? decodeHead(head) : undefined,
      shard: shard ? decodeShard(shard) : undefined,
    };
  }

  /** Of each entity the offset of its newest erasure; -1: it never was erased. */
  async erasedAt(keys: ShardKeys, entities: readonly string[]): Promise<number[]> {
    if (entities.length === 0) return [];
    const rows = await this.getMany(entities.map((entity) => toKey(keys.erased(entity))));
    return rows.map((row) => (row === null ? -1 : decodeErased(row).offset));
  }

  /**
   * The live memories of an entity, oldest first, expired ones included.
   * @param count how many there are, as its head says
   */
  async memories(keys: ShardKeys, entity: string, count: number): Promise<MemoryRow[]> {
    const prefix = keys.memories(entity);
    const range = { gte: toKey(prefix), lt: toKey(after(prefix)), snapshot: this.snapshot };
    const rows = await this.rocks.scanAll({ ...range, limit: count, chunkRows: MEMORY_ROWS_MAX });
    const found = rows.map(({ value }) => decodeMemory(value));
    return found.sort((a, b) => a.offset - b.offset);
  }

  /** The state of an entity after all its events up to an offset. Nothing when it had none. */
  async stateAt(keys: ShardKeys, entity: string, offset: number): Promise<PastState | undefined> {
    return (await this.pastAt(keys, entity, offset)).past;
  }

  /** One pass backwards over the history finds the stored state next before it, and the events since. */
  async pastAt(keys: ShardKeys, entity: string, offset: number): Promise<ReadPast> {
    const prefix = keys.histories(entity);
    const fold = new PastFold();
    const found: HistoryEntry[] = [];
    let lt = toKey(keys.event(entity, offset + 1));
    // A stored state is a few rows away, unless events are small or the state is large.
    for (let limit = PAST_ROWS_FIRST; ; limit = Math.min(limit * 4, PAST_ROWS_MAX)) {
      const range = { gte: toKey(prefix), lt, reverse: true, snapshot: this.snapshot };
      const rows = await this.rocks.scanAll({ ...range, limit, chunkRows: limit });
      for (const row of rows) {
        const entry = entryOf(row, prefix);
        found.push(entry);
        if (!fold.add(entry)) continue;
        return { past: fold.finish(), rows: found.reverse(), isFirst: false };
      }
      if (rows.length < limit) {
        return { past: fold.finish(), rows: found.reverse(), isFirst: true };
      }
      lt = rows.at(-1)?.key ?? lt;
    }
  }

  /** The rows of a history from an offset on. */
  async historyFrom(
    keys: ShardKeys,
    entity: string,
    offset: number,
    limit: number,
  ): Promise<HistoryEntry[]> {
    const prefix = keys.histories(entity);
    const gte = toKey(keys.event(entity, offset));
    const range = { gte, lt: toKey(after(prefix)), snapshot: this.snapshot };
    const rows = await this.rocks.scanAll({ ...range, limit, chunkRows: limit });
    return rows.map((row) => entryOf(row, prefix));
  }

  /** The newest stamp of a partition up to an offset; 0n when there is none. */
  async stampAt(shard: ShardRecord, partition: number, offset: number): Promise<bigint> {
    if (offset < 0) return 0n;
    if (offset >= shard.applied) return shard.maxHlc;
    const keys = new ShardKeys(PLANE, partition);
    const [row] = await this.rocks.scanAll({
      gte: toKey(keys.batch(offset)),
      lt: toKey(after(keys.table('b'))),
      snapshot: this.snapshot,
      limit: 1,
      chunkRows: 1,
    });
    const entries = row === undefined ? [] : readTimeline(row.value);
    if (entries[0] !== undefined && entries[0].offset <= offset) return stampAt(entries, offset);
    // The log may have gaps: then the batch before tells it.
    const [before] = await this.rocks.scanAll({
      gte: toKey(keys.table('b')),
      lt: toKey(keys.batch(offset)),
      snapshot: this.snapshot,
      reverse: true,
      limit: 1,
      chunkRows: 1,
    });
    return before === undefined ? 0n : stampAt(readTimeline(before.value), offset);
  }

  /** The longest prefix of a partition whose stamps are all at or before a limit. */
  async offsetAt(shard: ShardRecord, partition: number, limit: bigint): Promise<number> {
    if (shard.maxHlc <= limit) return shard.applied;
    const keys = new ShardKeys(PLANE, partition);
    const [found] = await this.rocks.scanAll({
      gte: toKey(keys.table('t') + stampText(limit + 1n)),
      lt: toKey(after(keys.table('t'))),
      snapshot: this.snapshot,
      limit: 1,
      chunkRows: 1,
      values: false,
    });
    if (found === undefined) throw missingBatch(partition, shard.applied);
    const last = offsetAtEnd(found.key);
    const row = await this.get(keys.batch(last));
    if (row === null) throw missingBatch(partition, last);
    return lastOffsetUpTo(readTimeline(row), limit);
  }
}

function entryOf({ key, value }: RocksEntry, prefix: string): HistoryEntry {
  return { offset: key.readUIntBE(prefix.length, 6), isEvent: isEventRow(key), value };
}

function missingBatch(partition: number, offset: number): MemplaneError {
  return new MemplaneError(
    'storage_damaged',
    `The views of partition ${partition} lack the batch of offset ${offset}.`,
  );
}
