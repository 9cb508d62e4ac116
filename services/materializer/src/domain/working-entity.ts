import { DEFAULT_TENANT, type Json, mergePatch } from '@memplane/contracts';
import { entriesOf } from './index-entries.ts';
import { ShardKeys } from './keys.ts';
import { decodeHead, encodeHead, encodeOffset, type Head } from './rows.ts';
import type { Attributes } from './state.ts';

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

const NO_ATTRIBUTES = Buffer.from('{}');

/** One entity while a batch is folded: its head, taken apart only as far as the events need it. */
export class WorkingEntity {
  readonly keys: ShardKeys;
  readonly entity: string;
  isChanged = false;
  sessionActive: boolean;
  sequence: number;
  offset: number;
  hlc: bigint;
  bytesSinceSnapshot: number;
  memoryCount: number;
  memoryBytes: number;
  /** All live memories, where a stored state may become due; else only those that were touched. */
  readonly memories = new Map<string, LiveMemory | null>();
  #since: readonly number[];
  #attributesJson: Buffer;
  #attributes: Attributes | undefined;
  #entries: Map<string, number> | undefined;
  #dirty = false;

  constructor(keys: ShardKeys, entity: string, row: Buffer | null) {
    const head: Head | undefined = row === null ? undefined : decodeHead(row);
    this.keys = keys;
    this.entity = entity;
    this.sessionActive = head?.sessionActive ?? false;
    this.sequence = head?.sequence ?? 0;
    this.offset = head?.offset ?? -1;
    this.hlc = head?.hlc ?? 0n;
    this.bytesSinceSnapshot = head?.bytesSinceSnapshot ?? 0;
    this.memoryCount = head?.memoryCount ?? 0;
    this.memoryBytes = head?.memoryBytes ?? 0;
    this.#since = head?.since ?? [];
    this.#attributesJson = head?.attributes ?? NO_ATTRIBUTES;
  }

  /** Bytes of the state as far as they are known without writing it out. */
  get stateBytes(): number {
    return this.#attributesJson.length + this.memoryBytes;
  }

  get attributesJson(): Buffer {
    if (this.#dirty) {
      this.#attributesJson = Buffer.from(JSON.stringify(this.#attributes));
      this.#dirty = false;
    }
    return this.#attributesJson;
  }

  /** Merges a patch and moves the index along. */
  patch(patch: Attributes, offset: number, sink: RowSink): void {
    this.#attributes ??= JSON.parse(this.#attributesJson.toString()) as Attributes;
    const merged = mergePatch(this.#attributes, patch as Json) as Attributes;
    if (merged === this.#attributes) return;
    this.#entries ??= zip(entriesOf(this.#attributes), this.#since);
    this.#attributes = merged;
    this.#dirty = true;
    const before = this.#entries;
    const now = new Map<string, number>();
    const from = encodeOffset(offset);
    for (const entry of entriesOf(this.#attributes)) {
      const since = before.get(entry);
      now.set(entry, since ?? offset);
      if (since !== undefined) continue;
      sink.put(this.keys.liveAttribute(entry, this.entity), from);
    }
    for (const [entry, since] of before) {
      if (now.has(entry)) continue;
      sink.delete(this.keys.liveAttribute(entry, this.entity));
      sink.put(this.keys.formerAttribute(entry, this.entity, since), from);
    }
    this.#entries = now;
  }

  encode(): Buffer {
    return encodeHead({
      sessionActive: this.sessionActive,
      sequence: this.sequence,
      offset: this.offset,
      hlc: this.hlc,
      bytesSinceSnapshot: this.bytesSinceSnapshot,
      memoryCount: this.memoryCount,
      memoryBytes: this.memoryBytes,
      since: this.#entries === undefined ? this.#since : [...this.#entries.values()],
      attributes: this.attributesJson,
    });
  }
}

function zip(entries: Set<string>, since: readonly number[]): Map<string, number> {
  const zipped = new Map<string, number>();
  let i = 0;
  for (const entry of entries) zipped.set(entry, since[i++] ?? 0);
  return zipped;
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
