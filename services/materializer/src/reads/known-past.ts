import type { ShardKeys } from '../domain/keys.ts';
import { KnownHistories } from '../domain/known-histories.ts';
import type { PastState } from '../domain/past-state.ts';
import { type ReadPast, ViewReader } from '../drivers/view-reader.ts';
import type { ViewStore } from '../drivers/view-store.ts';
import type { Shard } from '../shard.ts';

export interface KnownPastSettings {
  /** Memory for histories that were read last, over all shards; estimated. */
  readonly history_cache_bytes_max: number;
}

/** What is read ahead of a read: rows, unless they are large. */
const AHEAD_ROWS_MAX = 64;
const AHEAD_BYTES_MAX = 64 * 1024;

/**
 * States of the past of entities that are asked for them again and again: no thread has to be woken
 * up and waited for. The second read of a history reads ahead, since who looks at an entity's past
 * looks at more of it. Where anything of a shard was erased the store is asked.
 */
export class KnownPast {
  readonly #store: ViewStore;
  readonly #histories: KnownHistories;
  #isReadingAhead = false;

  constructor(store: ViewStore, { history_cache_bytes_max: bytesMax }: KnownPastSettings) {
    this.#store = store;
    this.#histories = new KnownHistories(bytesMax);
  }

  /** The state after the event at exactly this offset; nothing where it is not known. */
  stateAt(shard: Shard, keys: ShardKeys, entity: string, offset: number): PastState | undefined {
    if (shard.record.erasures !== undefined) return undefined;
    return this.#histories.stateAt(shard, keys.histories(entity), offset);
  }

  /** Keeps what a read has found. To be called before that read ends: clearing waits for reads. */
  keep(shard: Shard, keys: ShardKeys, entity: string, { past, rows, isFirst }: ReadPast): void {
    const [oldest] = rows;
    if (oldest === undefined || past === undefined || shard.record.erasures !== undefined) return;
    const key = keys.histories(entity);
    const isAskedAgain = this.#histories.has(shard, key);
    this.#histories.keep(shard, key, rows, isFirst);
    if (!isAskedAgain || this.#isReadingAhead) return;
    const bytes = rows.reduce((sum, { value }) => sum + value.length, 0);
    const limit = Math.min(AHEAD_ROWS_MAX, Math.floor((AHEAD_BYTES_MAX * rows.length) / bytes));
    if (limit <= rows.length) return;
    const from = { offset: oldest.offset, isFirst };
    void this.#readAhead(shard, keys, entity, from, limit);
  }

  /** What a shard's histories had may not be in memory any more. */
  forget(shard: Shard): void {
    this.#histories.forget(shard);
  }

  async #readAhead(
    shard: Shard,
    keys: ShardKeys,
    entity: string,
    { offset, isFirst }: { readonly offset: number; readonly isFirst: boolean },
    limit: number,
  ): Promise<void> {
    this.#isReadingAhead = true;
    try {
      await this.#store.read(async (rocks, snapshot) => {
        const reader = new ViewReader(rocks, snapshot);
        const rows = await reader.historyFrom(keys, entity, offset, limit);
        if (shard.record.erasures !== undefined || rows.length === 0) return;
        this.#histories.keep(shard, keys.histories(entity), rows, isFirst);
      });
    } catch {
      // Nobody waits for it, and who reads the store next is told what ails it.
    } finally {
      this.#isReadingAhead = false;
    }
  }
}
