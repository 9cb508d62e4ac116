import { DEFAULT_TENANT, type MemoryChange, partitionKey } from '@memplane/contracts';
import { parseCause } from './causation.ts';
import { encodeClearing } from './clearing.ts';
import { PLANE, ShardKeys } from './keys.ts';
import type { ParsedRecord } from './parse-record.ts';
import { expiryLimit } from './retention.ts';
import {
  decodeHistory,
  decodeId,
  decodeMemory,
  encodeErased,
  encodeHistory,
  encodeId,
  encodeMemory,
  encodeSnapshot,
  encodeText,
  encodeUntil,
} from './rows.ts';
import { encodeShard, NO_COUNTS, type ShardRecord, type TenantCounts } from './shard-record.ts';
import { type Attributes, expiresMs, memoryView } from './state.ts';
import { addStored, type StoredCounts, storedOf } from './stored-counts.ts';
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
   * A state is stored once the events since the last one have this many bytes (eight times as many
   * where there are memories), or its own size (three times that) if that is more.
   */
  readonly snapshot_bytes_min: number;
  /** How long an id counts as known, see {@link expiryLimit}; 0 or absent: for ever. */
  readonly historyRetentionMs?: number;
  /** Of a log that grew: which partition keys are not this shard's, though records of them are. */
  readonly isForeign?: (partitionKey: string) => boolean;
}

export interface ApplyCounts {
  applied: number;
  duplicates: number;
  rejected: number;
}

export interface BatchResult {
  readonly shard: ShardRecord;
  readonly counts: ApplyCounts;
  /** All entities that the batch has seen, by partition key, as they are now. */
  readonly entities: readonly (readonly [string, WorkingEntity])[];
}

const SESSION_PREFIX = 'session/';
/** How many times its own bytes a state with memories waits for: its memories have to be gathered. */
const STATE_FACTOR = 3;

/** Entities that later batches will want again; see `WorkingSet` of the drivers. */
export interface KnownEntities {
  get(partitionKey: string): WorkingEntity | undefined;
}

/** Entities as they are in the store now, where that is known without asking it. */
export interface LatestEntities {
  latest(partitionKey: string): WorkingEntity | undefined;
}

const NOBODY: KnownEntities = { get: () => undefined };

/** An entity of the batch, made from its head's row when it is first needed. */
interface EntitySlot {
  readonly keys: ShardKeys;
  readonly name: string;
  readonly headKey: string;
  /** Undefined when the entity is known already. */
  readonly head: LoadedRow | undefined;
  entity: WorkingEntity | undefined;
  /** Within the batch; -1: it was not. */
  erasedAt: number;
  /** Of an entity that is being erased: the ids of its events in the store. */
  storedIds: readonly string[];
}

/** A record with the rows that it needs, found once. */
interface Item {
  readonly record: ParsedRecord;
  readonly slot: EntitySlot;
  readonly id: IdSlot;
}

/** The row of an event id in one entity; ids of several entities make a chain. */
interface IdSlot extends LoadedRow {
  readonly slot: EntitySlot;
  next: IdSlot | undefined;
  /** The running stamp of the event that it names, where ids expire; 0n: its history is gone. */
  hlc: bigint | undefined;
}

/**
 * Folds a batch of one shard: duplicate filter, history, views, memories, index, effects, timeline,
 * derived counters. Pure: it is given the rows that it needs, and tells all that changes to a sink,
 * to be written as one batch. The records may come in several parts: {@link take} each, fill in the
 * rows that are needed, {@link fold} it; {@link finish} at the end. Known entities are changed in
 * place: when the batch is not written they must be forgotten.
 */
export class BatchFold {
  readonly #settings: ApplySettings;
  readonly #partition: number;
  readonly #known: KnownEntities;
  readonly #sink: RowSink;
  readonly #before: ShardRecord;
  readonly #tenantKeys: TenantKeys;
  readonly #memories = new Map<string, LoadedRow>();
  /** By partition key. */
  readonly #slots = new Map<string, EntitySlot>();
  /** By event id. */
  readonly #ids = new Map<string, IdSlot>();
  readonly #timeline = new TimelineWriter();
  readonly #tenants: Set<string>;
  readonly #counts: ApplyCounts = { applied: 0, duplicates: 0, rejected: 0 };
  readonly #retentionMs: number;
  #ages: { readonly id: IdSlot; readonly row: LoadedRow }[] = [];
  #needed: LoadedRow[] = [];
  #records: readonly ParsedRecord[] = [];
  /** Of those records that are this shard's, in their order. */
  #items: readonly Item[] = [];
  #firstOffset: number | undefined;
  #applied: number;
  #maxHlc: bigint;
  #activeSessions: number;
  /** Without a prototype: any tenant may be a key. */
  readonly #ofTenants: Record<string, TenantCounts>;
  /** Undefined: nobody has counted what was stored before. */
  readonly #stored: Record<string, StoredCounts> | undefined;
  #erasures: number;

  constructor(
    partition: number,
    before: ShardRecord,
    settings: ApplySettings,
    sink: RowSink,
    known = NOBODY,
  ) {
    this.#partition = partition;
    this.#before = before;
    this.#settings = settings;
    this.#retentionMs = settings.historyRetentionMs ?? 0;
    this.#sink = sink;
    this.#known = known;
    this.#tenantKeys = new TenantKeys(partition);
    this.#tenants = new Set(before.tenants);
    this.#applied = before.applied;
    this.#maxHlc = before.maxHlc;
    this.#activeSessions = before.activeSessions;
    this.#erasures = before.erasures ?? 0;
    this.#ofTenants = Object.assign(Object.create(null), before.ofTenants);
    const stored = storedOf(before);
    this.#stored = stored && { ...stored };
  }

  /**
   * Takes the next records in.
   * @returns the rows that they need: heads, ids and memories; to be filled in before going on
   */
  take(records: readonly ParsedRecord[]): readonly LoadedRow[] {
    this.#needed = [];
    this.#firstOffset ??= records[0]?.offset;
    this.#records = records;
    const { isForeign } = this.#settings;
    const own =
      isForeign === undefined
        ? records
        : records.filter(({ tenant, entity }) => !isForeign(partitionKey(tenant, entity)));
    this.#items = own.map((record) => this.#itemOf(record));
    return this.#needed;
  }

  #itemOf(record: ParsedRecord): Item {
    const { tenant, entity: name, event } = record;
    const slotName = partitionKey(tenant, name);
    let slot = this.#slots.get(slotName);
    if (slot === undefined) {
      slot = this.#slotOf(slotName, this.#tenantKeys.of(tenant), name);
      this.#slots.set(slotName, slot);
    }
    const { memory } = event.data;
    if (memory !== undefined) this.#needMemory(slot.keys.memory(name, memory.id));
    return { record, slot, id: this.#idOf(event.id, slot) };
  }

  #slotOf(slotName: string, keys: ShardKeys, name: string): EntitySlot {
    const headKey = keys.head(name);
    const entity = this.#known.get(slotName);
    if (entity !== undefined) {
      return { keys, name, headKey, head: undefined, entity, erasedAt: -1, storedIds: [] };
    }
    const head = this.#need({ key: headKey, value: null });
    return { keys, name, headKey, head, entity, erasedAt: -1, storedIds: [] };
  }

  #idOf(id: string, slot: EntitySlot): IdSlot {
    const first = this.#ids.get(id);
    for (let found = first; found !== undefined; found = found.next) {
      if (found.slot === slot) return found;
    }
    const key = slot.keys.id(id, slot.name);
    const made: IdSlot = { key, value: null, slot, next: undefined, hlc: undefined };
    const added = this.#need(made);
    if (first === undefined) this.#ids.set(id, added);
    else {
      added.next = first.next;
      first.next = added;
    }
    return added;
  }

  #needMemory(key: string): void {
    if (this.#memories.has(key)) return;
    this.#memories.set(key, this.#need({ key, value: null }));
  }

  #need<T extends LoadedRow>(row: T): T {
    this.#needed.push(row);
    return row;
  }

  /**
   * The entities whose whole state may become due for storing with the records that were taken, by
   * the prefix of their memory rows. Call it once the values of the needed rows are there.
   */
  memoriesNeeded(): { readonly prefix: string; readonly entity: WorkingEntity }[] {
    let bytes: Map<WorkingEntity, number> | undefined;
    const erased = new Set<WorkingEntity>();
    for (const { record, slot } of this.#items) {
      const entity = entityOf(slot);
      if (entity.memoryCount === 0) continue;
      if (record.event.data.erased !== undefined) erased.add(entity);
      bytes ??= new Map();
      bytes.set(entity, (bytes.get(entity) ?? entity.bytesSinceSnapshot) + record.bytes.length);
    }
    const needed: { prefix: string; entity: WorkingEntity }[] = [];
    for (const [entity, sum] of bytes ?? []) {
      if (!erased.has(entity) && sum < this.#snapshotThreshold(entity)) continue;
      if (entity.liveMemories === undefined) {
        needed.push({ prefix: entity.keys.memories(entity.entity), entity });
      }
    }
    return needed;
  }

  /** Entities that are erased: the ids of all their events in the store are to be told to them. */
  erasing(): { readonly prefix: string; storedIds: readonly string[] }[] {
    const found = new Set<EntitySlot>();
    for (const { record, slot } of this.#items) {
      if (record.event.data.erased !== undefined) found.add(slot);
    }
    return [...found].map((slot) => ({
      prefix: slot.keys.histories(slot.name),
      set storedIds(ids: readonly string[]) {
        slot.storedIds = ids;
      },
    }));
  }

  /**
   * Where ids expire: the history rows of those that are known, which tell how old they are. To be
   * filled in before going on; of repetitions there are few.
   */
  agesNeeded(): readonly LoadedRow[] {
    if (this.#retentionMs === 0) return NO_ROWS;
    this.#ages = [];
    for (const { id, slot } of this.#items) {
      if (id.value === null || id.hlc !== undefined) continue;
      const key = slot.keys.event(slot.name, decodeId(id.value).offset);
      id.hlc = 0n;
      this.#ages.push({ id, row: { key, value: null } });
    }
    return this.#ages.map(({ row }) => row);
  }

  #takeAges(): void {
    for (const { id, row } of this.#ages) {
      if (row.value !== null) id.hlc = decodeHistory(row.value).maxHlc;
    }
    this.#ages = [];
  }

  /** Folds the records that were taken. */
  fold(): void {
    const sink = this.#sink;
    this.#takeAges();
    let next = 0;
    for (const record of this.#records) {
      const { offset, tenant, bytes } = record;
      if (record.hlc > this.#maxHlc) this.#maxHlc = record.hlc;
      this.#applied = offset;
      const item = this.#items[next];
      if (item?.record !== record) {
        // Of before a split, and gone to another shard.
        this.#timeline.add(offset, this.#maxHlc, '');
        continue;
      }
      next++;
      const { slot } = item;
      this.#tenants.add(tenant);
      const verdict = this.#judge(item, sink);
      this.#counts[verdict]++;
      if (verdict === 'duplicates') {
        this.#timeline.add(offset, this.#maxHlc, '');
        continue;
      }
      const entity = entityOf(slot);
      entity.isChanged = true;
      entity.bytesSinceSnapshot += bytes.length;
      const rejected = verdict === 'rejected';
      if (!rejected) this.#countOf(tenant, this.#apply(record, slot, sink));
      sink.put(
        entity.keys.event(record.entity, offset),
        encodeHistory(rejected, entity.sequence, this.#maxHlc, bytes),
      );
      this.#timeline.add(offset, this.#maxHlc, rejected ? '' : partitionKey(tenant, record.entity));
      this.#storeState(entity, offset, sink);
    }
    this.#records = [];
    this.#items = [];
  }

  #countOf(tenant: string, sessions: number): void {
    this.#activeSessions += sessions;
    if (tenant === DEFAULT_TENANT) return;
    const { eventsTotal, activeSessions } = this.#ofTenants[tenant] ?? NO_COUNTS;
    this.#ofTenants[tenant] = {
      eventsTotal: eventsTotal + 1,
      activeSessions: activeSessions + sessions,
    };
  }

  /** The duplicate filter: the first event of an id counts, until its history is too old. */
  #judge({ record, id, slot }: Item, sink: RowSink): keyof ApplyCounts {
    const mine = encodeId(record.offset, record.event.digest ?? '');
    const isErased = id.value !== null && decodeId(id.value).offset < slot.erasedAt;
    if (id.value === null || isErased || this.#isExpired(id)) {
      id.value = mine;
      id.hlc = this.#maxHlc;
      sink.put(id.key, mine);
      return 'applied';
    }
    return decodeId(id.value).digest.equals(decodeId(mine).digest) ? 'duplicates' : 'rejected';
  }

  /** A function of the log alone, however far removing old history has come. */
  #isExpired({ hlc }: IdSlot): boolean {
    if (this.#retentionMs === 0 || hlc === undefined) return false;
    return hlc < expiryLimit(this.#maxHlc, this.#retentionMs);
  }

  /** Writes what the batch leaves. */
  finish(): BatchResult {
    const entities = Array.from(this.#slots, ([name, slot]): [string, WorkingEntity] => {
      const entity = entityOf(slot);
      this.#writeEntity(entity, slot.headKey);
      return [name, entity];
    });
    const { eventsTotal, duplicates, rejected, tenants } = this.#before;
    const counts = this.#counts;
    const stored = this.#stored && { applied: this.#applied, ofTenants: this.#stored };
    const shard: ShardRecord = {
      ...this.#before,
      applied: this.#applied,
      maxHlc: this.#maxHlc,
      activeSessions: this.#activeSessions,
      eventsTotal: eventsTotal + counts.applied,
      ...(Object.keys(this.#ofTenants).length === 0 ? {} : { ofTenants: this.#ofTenants }),
      ...(this.#erasures === 0 ? {} : { erasures: this.#erasures }),
      ...(stored === undefined ? {} : { stored }),
      duplicates: duplicates + counts.duplicates,
      rejected: rejected + counts.rejected,
      tenants: this.#tenants.size === tenants.length ? tenants : [...this.#tenants],
    };
    const plane = new ShardKeys(PLANE, this.#partition);
    this.#sink.put(plane.batch(shard.applied), this.#timeline.finish());
    this.#sink.put(plane.stamp(shard.maxHlc, shard.applied), EMPTY);
    this.#sink.put(plane.shard(), encodeShard(shard));
    return { shard, counts, entities };
  }

  #writeEntity(entity: WorkingEntity, headKey: string): void {
    for (const [id, memory] of entity.memories) {
      // What was loaded and stayed as it was need not be written again.
      if (memory === null) this.#sink.delete(entity.keys.memory(entity.entity, id));
      else if (memory.offset >= (this.#firstOffset ?? 0)) {
        this.#sink.put(
          entity.keys.memory(entity.entity, id),
          encodeMemory(memory.offset, memory.expiresMs, memory.json),
        );
      }
    }
    // A batch of mere duplicates changes nothing of an entity.
    if (!entity.isChanged) return;
    entity.finish(headKey, this.#sink);
    if (this.#stored) addStored(this.#stored, entity.keys.tenant, entity.takeGrowth());
  }

  /** @returns the change of the number of active sessions */
  #apply(record: ParsedRecord, slot: EntitySlot, sink: RowSink): number {
    const { event, offset } = record;
    const entity = entityOf(slot);
    entity.sequence++;
    entity.offset = offset;
    entity.hlc = record.hlc;
    const { attributes, memory, erased } = event.data;
    if (erased !== undefined) this.#erase(record, slot, sink);
    if (event.keyid !== undefined) entity.isSealed = true;
    if (attributes !== undefined) entity.patch(attributes as Attributes, offset, sink);
    if (memory !== undefined) this.#changeMemory(record, memory, entity, sink);
    if (event.causationid !== undefined) this.#linkEffect(record, event.causationid, entity, sink);
    return this.#session(record, entity);
  }

  /**
   * All of the entity so far is gone: at once what later events depend on, its state and its ids. The
   * state after it is stored, so that reads of the past need nothing of before; what else there is of
   * before is never shown, and cleared later.
   */
  #erase({ tenant, offset, hlc, event }: ParsedRecord, slot: EntitySlot, sink: RowSink): void {
    this.#erasures++;
    const entity = entityOf(slot);
    entity.erase(sink);
    slot.erasedAt = offset;
    const { keys, name } = slot;
    for (const id of slot.storedIds) sink.delete(keys.id(id, name));
    for (const first of this.#ids.values()) {
      for (let id: IdSlot | undefined = first; id !== undefined; id = id.next) {
        if (id.slot !== slot || id.key === keys.id(event.id, name)) continue;
        id.value = null;
        sink.delete(id.key);
      }
    }
    sink.put(keys.erased(name), encodeErased(offset, hlc));
    const plane = new ShardKeys(PLANE, this.#partition);
    sink.put(plane.clearing(tenant, name), encodeClearing({ offset }));
    const state = '{"attributes":{},"memories":[]}';
    sink.put(keys.snapshot(name, offset), encodeSnapshot(entity.sequence, hlc, state));
  }

  #changeMemory(
    record: ParsedRecord,
    memory: MemoryChange,
    entity: WorkingEntity,
    sink: RowSink,
  ): void {
    let before = entity.memories.get(memory.id);
    if (before === undefined) {
      const row = this.#memories.get(entity.keys.memory(entity.entity, memory.id))?.value;
      const stored = row ? decodeMemory(row) : undefined;
      if (stored !== undefined && !entity.memoriesErased) {
        const { offset, expiresMs: expires, json } = stored;
        before = { offset, expiresMs: expires, json: json.toString() };
      }
    }
    if (before) {
      entity.removeMemory(before.json);
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
    entity.addMemory(json);
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
    if (entity.memoryCount === 0) return Math.max(min, entity.stateBytes);
    return Math.max(8 * min, STATE_FACTOR * entity.stateBytes);
  }

  /**
   * Stores the whole state once the events since the last one outweigh it: a read of the past folds
   * a bounded number of bytes, and what is written at most doubles; with memories, a third more.
   */
  #storeState(entity: WorkingEntity, offset: number, sink: RowSink): void {
    if (entity.bytesSinceSnapshot < this.#snapshotThreshold(entity)) return;
    const live = entity.liveMemories;
    // Not all memories are here: the next batch stores it.
    if (live === undefined) return;
    const memories = live.map((memory) => memory.json).join(',');
    const state = `{"attributes":${entity.attributesJson},"memories":[${memories}]}`;
    sink.put(
      entity.keys.snapshot(entity.entity, offset),
      encodeSnapshot(entity.sequence, entity.hlc, state),
    );
    entity.bytesSinceSnapshot = 0;
  }
}

const EMPTY = Buffer.alloc(0);
const NO_ROWS: readonly LoadedRow[] = [];

function entityOf(slot: EntitySlot): WorkingEntity {
  slot.entity ??= new WorkingEntity(slot.keys, slot.name, slot.head?.value ?? null);
  return slot.entity;
}
