import type { MemoryChange } from '@memplane/contracts';
import { parseCause } from './causation.ts';
import { PLANE, ShardKeys } from './keys.ts';
import type { ParsedRecord } from './parse-record.ts';
import {
  decodeId,
  decodeMemory,
  encodeHistory,
  encodeId,
  encodeMemory,
  encodeSnapshot,
  encodeText,
  encodeUntil,
} from './rows.ts';
import { encodeShard, type ShardRecord } from './shard-record.ts';
import { type Attributes, expiresMs, memoryView } from './state.ts';
import { TimelineWriter } from './timeline.ts';
import { type RowSink, TenantKeys, WorkingEntity } from './working-entity.ts';

/** A key with its value before the batch; null: not there. */
export interface LoadedRow {
  readonly key: string;
  value: Buffer | null;
}

export interface ApplySettings {
  /** Event types that open and close a session, on entities `session/*`. */
  readonly sessionOpenTypes: ReadonlySet<string>;
  readonly sessionCloseTypes: ReadonlySet<string>;
  /**
   * A state is stored once the events since the last one have this many bytes (four times as many
   * where there are memories), or its own size if that is more.
   */
  readonly snapshot_bytes_min: number;
}

export interface ApplyCounts {
  applied: number;
  duplicates: number;
  rejected: number;
}

const SESSION_PREFIX = 'session/';

/** An entity of the batch, made from its head's row when it is first needed. */
interface EntitySlot {
  readonly keys: ShardKeys;
  readonly name: string;
  readonly head: LoadedRow;
  entity: WorkingEntity | undefined;
}

/** A record with the rows that it needs, found once. */
interface Item {
  readonly record: ParsedRecord;
  readonly slot: EntitySlot;
  readonly id: LoadedRow;
}

/**
 * Folds a batch of one shard: duplicate filter, history, views, memories, index, effects, timeline,
 * derived counters. Pure: it is given the rows that it needs (see {@link BatchFold.rowsNeeded}), and
 * tells all that changes to a sink, to be written as one batch.
 */
export class BatchFold {
  readonly #settings: ApplySettings;
  readonly #partition: number;
  readonly #rows = new Map<string, LoadedRow>();
  readonly #slots = new Map<string, EntitySlot>();
  readonly #items: readonly Item[];

  constructor(partition: number, records: readonly ParsedRecord[], settings: ApplySettings) {
    this.#partition = partition;
    this.#settings = settings;
    const tenantKeys = new TenantKeys(partition);
    this.#items = records.map((record) => this.#itemOf(record, tenantKeys.of(record.tenant)));
  }

  #itemOf(record: ParsedRecord, keys: ShardKeys): Item {
    const { entity: name, event } = record;
    const headKey = keys.head(name);
    let slot = this.#slots.get(headKey);
    if (slot === undefined) {
      slot = { keys, name, head: this.#need(headKey), entity: undefined };
      this.#slots.set(headKey, slot);
    }
    const { memory } = event.data;
    if (memory !== undefined) this.#need(keys.memory(name, memory.id));
    return { record, slot, id: this.#need(keys.id(event.id, name)) };
  }

  #need(key: string): LoadedRow {
    let row = this.#rows.get(key);
    if (row === undefined) {
      row = { key, value: null };
      this.#rows.set(key, row);
    }
    return row;
  }

  /** The rows to be loaded: heads, ids and memories. Fill in their values. */
  rowsNeeded(): LoadedRow[] {
    return [...this.#rows.values()];
  }

  /**
   * The entities whose whole state may become due for storing within this batch, by the prefix of
   * their memory rows. Call it once the values of {@link rowsNeeded} are there.
   */
  memoriesNeeded(): { readonly prefix: string; readonly entity: WorkingEntity }[] {
    const bytes = new Map<WorkingEntity, number>();
    for (const { record, slot } of this.#items) {
      const entity = entityOf(slot);
      if (entity.memoryCount === 0) continue;
      bytes.set(entity, (bytes.get(entity) ?? entity.bytesSinceSnapshot) + record.bytes.length);
    }
    const needed: { prefix: string; entity: WorkingEntity }[] = [];
    for (const [entity, sum] of bytes) {
      if (sum >= this.#snapshotThreshold(entity)) {
        needed.push({ prefix: entity.keys.memories(entity.entity), entity });
      }
    }
    return needed;
  }

  /** Folds all records and writes every changed row. */
  run(before: ShardRecord, sink: RowSink): { shard: ShardRecord; counts: ApplyCounts } {
    const counts: ApplyCounts = { applied: 0, duplicates: 0, rejected: 0 };
    const timeline = new TimelineWriter();
    const tenants = new Set(before.tenants);
    let { maxHlc, applied, activeSessions } = before;
    for (const item of this.#items) {
      const { record } = item;
      if (record.hlc > maxHlc) maxHlc = record.hlc;
      applied = record.offset;
      tenants.add(record.tenant);
      const verdict = judge(item, sink);
      counts[verdict]++;
      if (verdict === 'duplicates') {
        timeline.add(record.offset, maxHlc, '', '');
        continue;
      }
      const entity = entityOf(item.slot);
      entity.isChanged = true;
      entity.bytesSinceSnapshot += record.bytes.length;
      const rejected = verdict === 'rejected';
      if (!rejected) activeSessions += this.#apply(record, entity, sink);
      sink.put(
        entity.keys.event(record.entity, record.offset),
        encodeHistory(rejected, entity.sequence, maxHlc, record.bytes),
      );
      timeline.add(record.offset, maxHlc, record.tenant, rejected ? '' : record.entity);
      this.#storeState(entity, record.offset, sink);
    }
    const shard: ShardRecord = {
      ...before,
      applied,
      maxHlc,
      activeSessions,
      eventsTotal: before.eventsTotal + counts.applied,
      duplicates: before.duplicates + counts.duplicates,
      rejected: before.rejected + counts.rejected,
      tenants: tenants.size === before.tenants.length ? before.tenants : [...tenants],
    };
    this.#finish(shard, timeline, sink);
    return { shard, counts };
  }

  #finish(shard: ShardRecord, timeline: TimelineWriter, sink: RowSink): void {
    const firstOffset = this.#items[0]?.record.offset ?? 0;
    for (const slot of this.#slots.values()) {
      const entity = entityOf(slot);
      for (const [id, memory] of entity.memories) {
        // What was loaded and stayed as it was need not be written again.
        if (memory === null) sink.delete(entity.keys.memory(entity.entity, id));
        else if (memory.offset >= firstOffset) {
          sink.put(
            entity.keys.memory(entity.entity, id),
            encodeMemory(memory.offset, memory.expiresMs, memory.json),
          );
        }
      }
      // A batch of mere duplicates changes nothing of an entity.
      if (entity.isChanged) sink.put(slot.head.key, entity.encode());
    }
    const plane = new ShardKeys(PLANE, this.#partition);
    sink.put(plane.batch(shard.applied), timeline.finish());
    sink.put(plane.stamp(shard.maxHlc, shard.applied), EMPTY);
    sink.put(plane.shard(), encodeShard(shard));
  }

  /** @returns the change of the number of active sessions */
  #apply(record: ParsedRecord, entity: WorkingEntity, sink: RowSink): number {
    const { event, offset } = record;
    entity.sequence++;
    entity.offset = offset;
    entity.hlc = record.hlc;
    const { attributes, memory } = event.data;
    if (attributes !== undefined) entity.patch(attributes as Attributes, offset, sink);
    if (memory !== undefined) this.#changeMemory(record, memory, entity, sink);
    if (event.causationid !== undefined) this.#linkEffect(record, event.causationid, entity, sink);
    return this.#session(record, entity);
  }

  #changeMemory(
    record: ParsedRecord,
    memory: MemoryChange,
    entity: WorkingEntity,
    sink: RowSink,
  ): void {
    let before = entity.memories.get(memory.id);
    if (before === undefined) {
      const row = this.#rows.get(entity.keys.memory(entity.entity, memory.id))?.value;
      if (row) {
        const { offset, expiresMs: expires, json } = decodeMemory(row);
        before = { offset, expiresMs: expires, json: json.toString() };
      }
    }
    if (before) {
      entity.memoryCount--;
      entity.memoryBytes -= before.json.length;
      sink.put(
        entity.keys.until(entity.entity, before.offset),
        encodeUntil(record.offset, before.expiresMs),
      );
    }
    const view = memoryView(record);
    if (view === undefined) {
      entity.memories.set(memory.id, null);
      return;
    }
    const json = JSON.stringify(view);
    entity.memoryCount++;
    entity.memoryBytes += json.length;
    entity.memories.set(memory.id, {
      offset: record.offset,
      expiresMs: expiresMs(view.ttl, record.hlc),
      json,
    });
  }

  #linkEffect(
    record: ParsedRecord,
    causationId: string,
    entity: WorkingEntity,
    sink: RowSink,
  ): void {
    const cause = parseCause(causationId);
    if (cause === undefined) return;
    const key = entity.keys.effect(cause.id, cause.entity ?? '', entity.entity, record.offset);
    sink.put(key, encodeText(record.event.id));
  }

  #session(record: ParsedRecord, entity: WorkingEntity): number {
    if (!record.entity.startsWith(SESSION_PREFIX)) return 0;
    const { sessionOpenTypes, sessionCloseTypes } = this.#settings;
    if (!entity.sessionActive && sessionOpenTypes.has(record.event.type)) {
      entity.sessionActive = true;
      return 1;
    }
    if (entity.sessionActive && sessionCloseTypes.has(record.event.type)) {
      entity.sessionActive = false;
      return -1;
    }
    return 0;
  }

  /** With memories it costs a scan to gather a state, so it is done more seldom. */
  #snapshotThreshold(entity: WorkingEntity): number {
    const { snapshot_bytes_min: min } = this.#settings;
    return Math.max(entity.memoryCount === 0 ? min : 4 * min, entity.stateBytes);
  }

  /**
   * Stores the whole state once the events since the last one outweigh it: a read of the past folds
   * a bounded number of bytes, and what is written at most doubles.
   */
  #storeState(entity: WorkingEntity, offset: number, sink: RowSink): void {
    if (entity.bytesSinceSnapshot < this.#snapshotThreshold(entity)) return;
    const live = [...entity.memories.values()].filter((memory) => memory !== null);
    // Not all memories are here: the state grew within this batch only; the next batch stores it.
    if (live.length !== entity.memoryCount) return;
    live.sort((a, b) => a.offset - b.offset);
    const memories = live.map((memory) => memory.json).join(',');
    const state = `{"attributes":${entity.attributesJson.toString()},"memories":[${memories}]}`;
    sink.put(
      entity.keys.snapshot(entity.entity, offset),
      encodeSnapshot(entity.sequence, entity.hlc, state),
    );
    entity.bytesSinceSnapshot = 0;
  }
}

const EMPTY = Buffer.alloc(0);

function entityOf(slot: EntitySlot): WorkingEntity {
  slot.entity ??= new WorkingEntity(slot.keys, slot.name, slot.head.value);
  return slot.entity;
}

/** The duplicate filter: the first event of an id counts, for as long as history is kept. */
function judge({ record, id }: Item, sink: RowSink): keyof ApplyCounts {
  const mine = encodeId(record.offset, record.event.digest ?? '');
  if (id.value === null) {
    id.value = mine;
    sink.put(id.key, mine);
    return 'applied';
  }
  return decodeId(id.value).digest.equals(decodeId(mine).digest) ? 'duplicates' : 'rejected';
}
