import { DEFAULT_TENANT, type Json, mergePatch } from '@memplane/contracts';
import { AttributeIndex } from './attribute-index.ts';
import { entriesOf } from './index-entries.ts';
import { ShardKeys } from './keys.ts';
import { decodeHead, encodeHead, encodeOffset, type Head } from './rows.ts';
import type { Attributes } from './state.ts';
import { NOTHING_STORED, type StoredCounts, storedIn } from './stored-counts.ts';

/** Where changes go, in order. Keys are texts of one character a byte, see `keys.ts`. */
export interface RowSink {
  put(key: string, value: Uint8Array): void;
  delete(key: string): void;
}

/** A memory that is live in an entity while a batch is folded. */
export interface LiveMemory {
  readonly offset: number;
  readonly expiresMs: number;
  readonly json: string;
}

/** What a cached entity takes in memory beside its attributes, roughly. */
const ENTITY_BYTES = 512;
/** What a cached memory takes beside its JSON, roughly. */
const MEMORY_BYTES = 256;
/** Memory of attributes: as JSON, as objects, and as entries of the index. */
const ATTRIBUTES_FACTOR = 6;

/**
 * One entity while batches are folded: its head, taken apart only as far as the events need it. It
 * may serve several batches, one after the other: {@link settle} it between them.
 */
export class WorkingEntity {
  readonly keys: ShardKeys;
  readonly entity: string;
  isChanged = false;
  /** Within the batch: what the store has of its memories counts no more. */
  memoriesErased = false;
  sessionActive: boolean;
  isSealed: boolean;
  sequence: number;
  offset: number;
  hlc: bigint;
  bytesSinceSnapshot: number;
  memoryCount: number;
  /** Of their JSON in UTF-8. */
  memoryBytes: number;
  /** What the store has of it: what differs from that at the end of a batch is counted. */
  #stored: StoredCounts;
  /**
   * Memories by their ids; null: it was removed within the batch. All live ones where they were loaded
   * since a stored state may become due, or came while the entity was kept; else some.
   */
  readonly memories = new Map<string, LiveMemory | null>();
  /** The attributes as JSON; stale while `#isDirty`. */
  #json: string;
  #jsonBytes: number;
  #isDirty = false;
  #attributes: Attributes | undefined;
  #since: readonly number[];
  #index: AttributeIndex | undefined;
  /** Entries that began within the batch and still hold: written once, at its end. */
  readonly #begun = new Map<string, number>();

  constructor(keys: ShardKeys, entity: string, row: Buffer | null) {
    const head: Head | undefined = row === null ? undefined : decodeHead(row);
    this.keys = keys;
    this.entity = entity;
    this.sessionActive = head?.sessionActive ?? false;
    this.isSealed = head?.isSealed ?? false;
    this.sequence = head?.sequence ?? 0;
    this.offset = head?.offset ?? -1;
    this.hlc = head?.hlc ?? 0n;
    this.bytesSinceSnapshot = head?.bytesSinceSnapshot ?? 0;
    this.memoryCount = head?.memoryCount ?? 0;
    this.memoryBytes = head?.memoryBytes ?? 0;
    this.#since = head?.since ?? [];
    this.#json = head?.attributes.toString() ?? '{}';
    this.#jsonBytes = head?.attributes.length ?? 2;
    this.#stored = head === undefined ? NOTHING_STORED : storedIn(head);
  }

  /** The batch is in the store: forgets what belonged to it alone. */
  settle(): void {
    this.isChanged = false;
    this.memoriesErased = false;
    for (const [id, memory] of this.memories) if (memory === null) this.memories.delete(id);
  }

  addMemory(json: string): void {
    this.memoryCount++;
    this.memoryBytes += Buffer.byteLength(json);
  }

  removeMemory(json: string): void {
    this.memoryCount--;
    // Heads of the version before have the characters of the JSON, which may be fewer.
    const left = Math.max(0, this.memoryBytes - Buffer.byteLength(json));
    this.memoryBytes = this.memoryCount === 0 ? 0 : left;
  }

  /** By how much what is stored of it has grown since this was last asked. */
  takeGrowth(): StoredCounts {
    const { memoryCount: memories, stateBytes } = this;
    const before = this.#stored;
    this.#stored = { memories, stateBytes };
    return {
      memories: memories - before.memories,
      stateBytes: stateBytes - before.stateBytes,
    };
  }

  /** The live memories, oldest first, or undefined where not all of them are here. */
  get liveMemories(): LiveMemory[] | undefined {
    if (this.memories.size < this.memoryCount) return undefined;
    const live = [...this.memories.values()].filter((memory) => memory !== null);
    // Of those that are not here, the state grew within this batch only.
    if (live.length !== this.memoryCount) return undefined;
    return live.sort((a, b) => a.offset - b.offset);
  }

  /** Bytes of the state as far as they are known without writing it out. */
  get stateBytes(): number {
    return this.#jsonBytes + this.memoryBytes;
  }

  /** What keeping this entity for later batches takes, without its memories, in bytes, roughly. */
  get cacheBytes(): number {
    return ENTITY_BYTES + this.#jsonBytes * ATTRIBUTES_FACTOR;
  }

  /** The same of its memories. */
  get memoriesCacheBytes(): number {
    const { size } = this.memories;
    return size === 0 ? 0 : this.memoryBytes + size * MEMORY_BYTES;
  }

  get attributesJson(): string {
    if (this.#isDirty) {
      this.#json = JSON.stringify(this.#attributes);
      this.#jsonBytes = Buffer.byteLength(this.#json);
      this.#isDirty = false;
    }
    return this.#json;
  }

  /** Merges a patch and moves the index along. */
  patch(patch: Attributes, offset: number, sink: RowSink): void {
    const before = this.#attributes ?? (JSON.parse(this.#json) as Attributes);
    this.#attributes = before;
    const merged = mergePatch(before, patch as Json) as Attributes;
    if (merged === before) return;
    this.#index ??= new AttributeIndex(before, this.#since);
    this.#attributes = merged;
    this.#isDirty = true;
    let until: Buffer | undefined;
    this.#index.change(merged, patch, offset, {
      began: (entry) => this.#begun.set(entry, offset),
      ended: (entry, since) => {
        if (!this.#begun.delete(entry)) sink.delete(this.keys.liveAttribute(entry, this.entity));
        until ??= encodeOffset(offset);
        sink.put(this.keys.formerAttribute(entry, this.entity, since), until);
      },
    });
  }

  /**
   * All that was so far is gone: attributes, their live entries in the index, and all memories, which
   * have to be loaded.
   */
  erase(sink: RowSink): void {
    const before = this.#attributes ?? (JSON.parse(this.#json) as Attributes);
    for (const entry of entriesOf(before)) {
      if (!this.#begun.delete(entry)) sink.delete(this.keys.liveAttribute(entry, this.entity));
    }
    this.#attributes = {};
    this.#isDirty = true;
    this.#since = [];
    this.#index = undefined;
    for (const id of this.memories.keys()) this.memories.set(id, null);
    this.memoriesErased = true;
    this.isSealed = false;
    this.memoryCount = 0;
    this.memoryBytes = 0;
    this.bytesSinceSnapshot = 0;
  }

  /** Writes what the batch leaves: the entries that it began, and the head. */
  finish(headKey: string, sink: RowSink): void {
    for (const [entry, since] of this.#begun) {
      sink.put(this.keys.liveAttribute(entry, this.entity), encodeOffset(since));
    }
    if (this.#begun.size > 0) this.#begun.clear();
    const attributes = this.attributesJson;
    if (this.#index !== undefined) this.#since = this.#index.since(this.#attributes ?? {});
    sink.put(
      headKey,
      encodeHead({
        sessionActive: this.sessionActive,
        isSealed: this.isSealed,
        sequence: this.sequence,
        offset: this.offset,
        hlc: this.hlc,
        bytesSinceSnapshot: this.bytesSinceSnapshot,
        memoryCount: this.memoryCount,
        memoryBytes: this.memoryBytes,
        since: this.#since,
        attributes,
        attributesBytes: this.#jsonBytes,
      }),
    );
  }
}

/** Keys of each tenant of one shard, made once. */
export class TenantKeys {
  readonly #partition: number;
  readonly #byTenant = new Map<string, ShardKeys>();
  readonly #default: ShardKeys;

  constructor(partition: number) {
    this.#partition = partition;
    this.#default = new ShardKeys(DEFAULT_TENANT, partition);
  }

  of(tenant: string): ShardKeys {
    if (tenant === DEFAULT_TENANT) return this.#default;
    let keys = this.#byTenant.get(tenant);
    if (keys === undefined) {
      if (this.#byTenant.size >= 10_000) this.#byTenant.clear();
      keys = new ShardKeys(tenant, this.#partition);
      this.#byTenant.set(tenant, keys);
    }
    return keys;
  }
}
