import type { MemoryChange } from '@memplane/contracts';
import { parseCause } from './causation.ts';
import { PLANE, ShardKeys, toKey } from './keys.ts';
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
  readonly key: Buffer;
  value: Buffer | null;
}

export interface ApplySettings {
  /** Event types that open and close a session, on entities `session/*`. */
  readonly sessionOpenTypes: ReadonlySet<string>;
  readonly sessionCloseTypes: ReadonlySet<string>;
  /** A state is stored once the events since the last one have this many bytes, or its own size. */
  readonly snapshot_bytes_min: number;
}

export interface ApplyCounts {
  applied: number;
  duplicates: number;
  rejected: number;
}

const SESSION_PREFIX = 'session/';

/**
 * Folds a batch of one shard: duplicate filter, history, views, memories, index, effects, timeline,
 * derived counters. Pure: it is given the rows that it needs (see {@link BatchFold.rowsNeeded}), and
 * tells all that changes to a sink, to be written as one batch.
 */
export class BatchFold {
  readonly #records: readonly ParsedRecord[];
  readonly #settings: ApplySettings;
  readonly #tenantKeys: TenantKeys;
  readonly #partition: number;
  readonly #rows = new Map<string, LoadedRow>();
  readonly #entities = new Map<string, WorkingEntity>();

  constructor(partition: number, records: readonly ParsedRecord[], settings: ApplySettings) {
    this.#partition = partition;
    this.#records = records;
    this.#settings = settings;
    this.#tenantKeys = new TenantKeys(partition);
  }

  /** The rows to be loaded: heads, ids and memories. Fill in their values. */
  rowsNeeded(): LoadedRow[] {
    const need = (key: string) => {
      if (!this.#rows.has(key)) this.#rows.set(key, { key: toKey(key), value: null });
    };
    for (const { tenant, entity, event } of this.#records) {
      const keys = this.#tenantKeys.of(tenant);
      need(keys.head(entity));
      need(keys.id(event.id, entity));
      const { memory } = event.data;
      if (memory !== undefined) need(keys.memory(entity, memory.id));
    }
    return [...this.#rows.values()];
  }

  /**
   * The entities whose whole state may become due for storing within this batch, by the prefix of
   * their memory rows. Call it once the values of {@link rowsNeeded} are there.
   */
  memoriesNeeded(): { readonly prefix: string; readonly entity: WorkingEntity }[] {
    const bytes = new Map<WorkingEntity, number>();
    for (const { tenant, entity, bytes: value } of this.#records) {
      const working = this.#entity(tenant, entity);
      bytes.set(working, (bytes.get(working) ?? working.bytesSinceSnapshot) + value.length);
    }
    const needed: { prefix: string; entity: WorkingEntity }[] = [];
    for (const [entity, sum] of bytes) {
      if (entity.memoryCount > 0 && sum >= this.#snapshotThreshold(entity)) {
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
    for (const record of this.#records) {
      if (record.hlc > maxHlc) maxHlc = record.hlc;
      applied = record.offset;
      tenants.add(record.tenant);
      const verdict = this.#judge(record, sink);
      counts[verdict]++;
      if (verdict === 'duplicates') {
        timeline.add(record.offset, maxHlc, '', '');
        continue;
      }
      const entity = this.#entity(record.tenant, record.entity);
      entity.bytesSinceSnapshot += record.bytes.length;
      const rejected = verdict === 'rejected';
      if (!rejected) activeSessions += this.#apply(record, entity, sink);
      sink.put(
        toKey(entity.keys.event(record.entity, record.offset)),
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
    const firstOffset = this.#records[0]?.offset ?? 0;
    for (const entity of this.#entities.values()) {
      for (const [id, memory] of entity.memories) {
        // What was loaded and stayed as it was need not be written again.
        if (memory === null) sink.delete(toKey(entity.keys.memory(entity.entity, id)));
        else if (memory.offset >= firstOffset) {
          sink.put(
            toKey(entity.keys.memory(entity.entity, id)),
            encodeMemory(memory.offset, memory.expiresMs, memory.json),
          );
        }
      }
      if (entity.offset >= 0) sink.put(toKey(entity.keys.head(entity.entity)), entity.encode());
    }
    const plane = new ShardKeys(PLANE, this.#partition);
    sink.put(toKey(plane.batch(shard.applied)), timeline.finish());
    sink.put(toKey(plane.stamp(shard.maxHlc, shard.applied)), EMPTY);
    sink.put(toKey(plane.shard()), encodeShard(shard));
  }

  #entity(tenant: string, name: string): WorkingEntity {
    const keys = this.#tenantKeys.of(tenant);
    const headKey = keys.head(name);
    let entity = this.#entities.get(headKey);
    if (entity === undefined) {
      entity = new WorkingEntity(keys, name, this.#rows.get(headKey)?.value ?? null);
      this.#entities.set(headKey, entity);
    }
    return entity;
  }

  /** The duplicate filter: the first event of an id counts, for as long as history is kept. */
  #judge(record: ParsedRecord, sink: RowSink): keyof ApplyCounts {
    const { tenant, entity, event, offset } = record;
    const row = this.#rows.get(this.#tenantKeys.of(tenant).id(event.id, entity));
    if (row === undefined) throw new Error('the id row of a record was not asked for');
    const mine = encodeId(offset, event.digest ?? '');
    if (row.value === null) {
      row.value = mine;
      sink.put(row.key, mine);
      return 'applied';
    }
    return decodeId(row.value).digest.equals(decodeId(mine).digest) ? 'duplicates' : 'rejected';
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
        toKey(entity.keys.until(entity.entity, before.offset)),
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
    sink.put(toKey(key), encodeText(record.event.id));
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

  #snapshotThreshold(entity: WorkingEntity): number {
    return Math.max(this.#settings.snapshot_bytes_min, entity.stateBytes);
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
      toKey(entity.keys.snapshot(entity.entity, offset)),
      encodeSnapshot(entity.sequence, entity.hlc, state),
    );
    entity.bytesSinceSnapshot = 0;
  }
}

const EMPTY = Buffer.alloc(0);
