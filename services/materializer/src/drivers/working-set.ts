import type { KnownEntities } from '../domain/apply-batch.ts';
import { KeyFilter } from '../domain/key-filter.ts';
import type { WorkingEntity } from '../domain/working-entity.ts';

export interface WorkingSetSettings {
  /** Memory for entities that were changed last, of one shard. */
  readonly entity_cache_bytes_max: number;
  /** Memory for the filter of keys that may be stored, of one shard. */
  readonly key_filter_bytes: number;
}

/**
 * What a shard need not read again: the entities that it has changed last (bounded in bytes; who
 * was not seen for longest goes first), and which keys can't be in the store at all. The entities are
 * those of the store at one offset: a batch that was folded and not written leaves none.
 */
export class WorkingSet implements KnownEntities {
  readonly #bytesMax: number;
  readonly #entities = new Map<string, { entity: WorkingEntity; bytes: number }>();
  readonly keys: KeyFilter;
  #bytes = 0;
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
    return this.#bytes;
  }

  get(partitionKey: string): WorkingEntity | undefined {
    return this.#entities.get(partitionKey)?.entity;
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
      this.#bytes -= this.#entities.get(name)?.bytes ?? 0;
      // Deleted and added: the newest are last.
      this.#entities.delete(name);
      const bytes = entity.cacheBytes + name.length;
      this.#entities.set(name, { entity, bytes });
      this.#bytes += bytes;
    }
    for (const [name, { bytes }] of this.#entities) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#entities.delete(name);
      this.#bytes -= bytes;
    }
    this.#applied = applied;
  }

  #clear(): void {
    this.#entities.clear();
    this.#bytes = 0;
  }
}
