import { parseHlc } from '@memplane/clock';
import { type CloudEvent, MemplaneError } from '@memplane/contracts';
import type { RocksSnapshot, RocksStore } from '@memplane/rocks';
import {
  after,
  isEventRow,
  offsetAtEnd,
  PLANE,
  ShardKeys,
  stampText,
  toKey,
} from '../domain/keys.ts';
import {
  decodeErased,
  decodeHead,
  decodeHistory,
  decodeMemory,
  decodeSnapshot,
  type Head,
  type HistoryRow,
  type MemoryRow,
} from '../domain/rows.ts';
import { decodeShard, type ShardRecord } from '../domain/shard-record.ts';
import { type EntityState, emptyState, evolve } from '../domain/state.ts';
import { lastOffsetUpTo, readTimeline, stampAt } from '../domain/timeline.ts';
import { shardKey } from './view-store.ts';

/** Rows that the steps of a read of the past fetch. */
const PAST_ROWS_FIRST = 12;
const PAST_ROWS_MAX = 256;
/** Memories that one step of a read fetches. */
const MEMORY_ROWS_MAX = 256;

/** A state of the past, with the newest stamp of the partition where its last event tells it. */
export interface PastState {
  readonly state: EntityState;
  /**
   * The offset of the newest event of the entity within the cut, rejected ones included; −1 where
   * the history begins later and the stored state is all there is.
   */
  readonly rowOffset: number;
  readonly rowMaxHlc: bigint;
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

  /**
   * The state of an entity after all its events up to an offset: the stored state next before it,
   * and the events since. Nothing when it had none. One pass backwards over the history finds both.
   */
  async stateAt(keys: ShardKeys, entity: string, offset: number): Promise<PastState | undefined> {
    const prefix = keys.histories(entity);
    const events: { offset: number; row: HistoryRow }[] = [];
    let base: EntityState | undefined;
    let lt = toKey(keys.event(entity, offset + 1));
    // A stored state is a few rows away, unless events are small or the state is large.
    for (let limit = PAST_ROWS_FIRST; ; limit = Math.min(limit * 4, PAST_ROWS_MAX)) {
      const rows = await this.rocks.scanAll({
        gte: toKey(prefix),
        lt,
        reverse: true,
        snapshot: this.snapshot,
        limit,
        chunkRows: limit,
      });
      for (const { key, value } of rows) {
        const at = key.readUIntBE(prefix.length, 6);
        if (isEventRow(key)) {
          events.push({ offset: at, row: decodeHistory(value) });
          if (base !== undefined) break;
        } else if (base === undefined) {
          base = stateOf(value, at);
          // Its own event comes next; it is needed only for the partition's newest stamp.
          if (events.length > 0) break;
        }
      }
      if ((base !== undefined && events.length > 0) || rows.length < limit) break;
      lt = rows.at(-1)?.key ?? lt;
    }
    const newest = events[0];
    if (newest === undefined && base === undefined) return undefined;
    const state = base ?? emptyState();
    for (let i = events.length - 1; i >= 0; i--) {
      const { offset: at, row } = events[i] as (typeof events)[number];
      if (row.rejected || at <= state.offset) continue;
      const event = JSON.parse(row.event.toString()) as CloudEvent;
      evolve(state, { offset: at, hlc: parseHlc(event.hlc), event });
    }
    return state.sequence === 0
      ? undefined
      : { state, rowOffset: newest?.offset ?? -1, rowMaxHlc: newest?.row.maxHlc ?? 0n };
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

function stateOf(row: Buffer, offset: number): EntityState {
  const { sequence, hlc, state } = decodeSnapshot(row);
  const memories = new Map(state.memories.map((memory) => [memory.id, memory]));
  return {
    sequence,
    offset,
    hlc,
    attributes: state.attributes as EntityState['attributes'],
    memories,
  };
}

function missingBatch(partition: number, offset: number): MemplaneError {
  return new MemplaneError(
    'storage_damaged',
    `The views of partition ${partition} lack the batch of offset ${offset}.`,
  );
}
