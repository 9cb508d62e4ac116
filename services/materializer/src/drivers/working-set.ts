import type { KnownEntities, LatestEntities } from '../domain/apply-batch.ts';
import { KeyFilter } from '../domain/key-filter.ts';
import type { WorkingEntity } from '../domain/working-entity.ts';

export interface WorkingSetSettings {
  /** Memory for entities that were changed last, of one shard. */
  readonly entity_cache_bytes_max: number;
  /** Memory for the filter of keys that may be stored, of one shard. */
  readonly key_filter_bytes: number;
}

/** Of the memory for entities, what goes to their memories at most: for reads of what came last. */
const MEMORIES_PART = 1 / 4;

/**
 * What a shard need not read again: the entities that it has changed last (bounded in bytes; who
 * was not seen for longest goes first), and which keys can't be in the store at all. The entities are
 * those of the store at one offset: a batch that was folded and not written leaves none.
 */
export class WorkingSet implements KnownEntities, LatestEntities {
  readonly #bytesMax: number;
  readonly #entities = new Map<string, { entity: WorkingEntity; bytes: number }>();
  /** Those of them that have their memories, and what these take in bytes. */
  readonly #withMemories = new Map<WorkingEntity, number>();
  readonly keys: KeyFilter;
  #bytes = 0;
  #memoryBytes = 0;
  /** The offset of the state; undefined while a batch is under way. */
  #applied: number | undefined;

  /** @param applied the last offset in the store; −1: there is nothing in it */
  constructor(applied: number, settings: WorkingSetSettings) {
    this.#bytesMax = settings.entity_cache_bytes_max;
    this.keys = new KeyFilter(settings.key_filter_bytes, applied < 0);
  }

  get entities(): number {
    return this.#entities.size;
  }

  /** Bytes of the entities, estimated. */
  get bytes(): number {
    return this.#bytes + this.#memoryBytes;
  }

  get(partitionKey: string): WorkingEntity | undefined {
    return this.#entities.get(partitionKey)?.entity;
  }

  /** The entity as the store has it, where it is known, and while no batch is under way. */
  latest(partitionKey: string): WorkingEntity | undefined {
    return this.#applied === undefined ? undefined : this.get(partitionKey);
  }

  /** Whether a key has to be looked for in the store. The batch under way may add it. */
  mayBeStored(key: string): boolean {
    return this.keys.add(key);
  }

  /** A batch after this offset is about to be folded. */
  begin(applied: number): void {
    if (this.#applied !== applied) this.#clear();
    this.#applied = undefined;
  }

  /** The batch under way is in the store. */
  commit(applied: number, entities: readonly (readonly [string, WorkingEntity])[]): void {
    for (const [name, entity] of entities) {
      entity.settle();
      this.#keepMemories(entity);
      this.#bytes -= this.#entities.get(name)?.bytes ?? 0;
      // Deleted and added: the newest are last.
      this.#entities.delete(name);
      const bytes = entity.cacheBytes + name.length;
      this.#entities.set(name, { entity, bytes });
      this.#bytes += bytes;
    }
    for (const [name, { entity, bytes }] of this.#entities) {
      if (this.#bytes <= this.#bytesMax * (1 - MEMORIES_PART)) break;
      this.#entities.delete(name);
      this.#bytes -= bytes;
      this.#dropMemories(entity);
    }
    this.#applied = applied;
  }

  /** What came last may be read soon; entities are worth more to the next batches than memories. */
  #keepMemories(entity: WorkingEntity): void {
    this.#memoryBytes -= this.#withMemories.get(entity) ?? 0;
    this.#withMemories.delete(entity);
    const bytes = entity.memoriesCacheBytes;
    if (bytes === 0) return;
    this.#withMemories.set(entity, bytes);
    this.#memoryBytes += bytes;
    for (const oldest of this.#withMemories.keys()) {
      if (this.#memoryBytes <= this.#bytesMax * MEMORIES_PART) break;
      this.#dropMemories(oldest);
    }
  }

  #dropMemories(entity: WorkingEntity): void {
    this.#memoryBytes -= this.#withMemories.get(entity) ?? 0;
    this.#withMemories.delete(entity);
    entity.memories.clear();
  }

  #clear(): void {
    this.#entities.clear();
    this.#withMemories.clear();
    this.#bytes = 0;
    this.#memoryBytes = 0;
  }
}
