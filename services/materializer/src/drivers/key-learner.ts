import { type Logger, pause } from '@memplane/runtime';
import { prefixRange, ShardKeys, type Table } from '../domain/keys.ts';
import type { Shard } from '../shard.ts';
import type { ViewStore } from './view-store.ts';
import type { WorkingSet } from './working-set.ts';

/** The tables whose rows a batch looks for: ids, heads, memories. */
const TABLES: readonly Table[] = ['i', 'h', 'm'];
const CHUNK_ROWS = 512;
/** Of the time, how many parts it rests for each that it works. */
const REST_PARTS = 3;

export interface KeyLearnerSettings {
  /** How long after the start it begins: the first moments belong to others. */
  readonly keyLearnDelayMs: number;
}

/**
 * Tells the key filters what was in the store when it was opened, one shard after the other and a
 * little at a time. Until a shard is done, its batches look for every row.
 */
export class KeyLearner {
  readonly #store: ViewStore;
  readonly #logger: Logger;
  readonly #settings: KeyLearnerSettings;

  constructor(store: ViewStore, logger: Logger, settings: KeyLearnerSettings) {
    this.#store = store;
    this.#logger = logger;
    this.#settings = settings;
  }

  async run(
    shards: Iterable<{ readonly shard: Shard; readonly known: WorkingSet }>,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await pause(this.#settings.keyLearnDelayMs, signal);
      for (const { shard, known } of shards) {
        if (signal.aborted) return;
        if (known.keys.isComplete) continue;
        if (await this.#learn(shard, known, signal)) known.keys.learned();
      }
    } catch (error) {
      if (signal.aborted) return;
      this.#logger.warn(
        { err: error },
        'the filter of stored keys stays incomplete until a restart',
      );
    }
  }

  /** @returns whether the filter has all keys now */
  async #learn(shard: Shard, { keys }: WorkingSet, signal: AbortSignal): Promise<boolean> {
    // A tenant that comes later is added by the batch that brings it.
    for (const tenant of shard.record.tenants) {
      const shardKeys = new ShardKeys(tenant, shard.partition);
      for (const table of TABLES) {
        const range = { ...prefixRange(shardKeys.table(table)), values: false };
        let startedAt = performance.now();
        for await (const rows of this.#store.rocks.scan({ ...range, chunkRows: CHUNK_ROWS })) {
          if (!keys.isUseful) return false;
          for (const { key } of rows) keys.add(key.toString('latin1'));
          await pause((performance.now() - startedAt) * REST_PARTS, signal);
          if (signal.aborted) return false;
          startedAt = performance.now();
        }
      }
    }
    return true;
  }
}
