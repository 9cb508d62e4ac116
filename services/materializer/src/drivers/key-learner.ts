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

/** A shard whose filter is to learn, until the signal. */
export interface Pupil {
  readonly shard: Shard;
  readonly known: WorkingSet;
  readonly signal: AbortSignal;
}

/**
 * Tells the key filters what was in the store when a shard was opened, one shard after the other and
 * a little at a time. Until a shard is done, its batches look for every row.
 */
export class KeyLearner {
  readonly #store: ViewStore;
  readonly #logger: Logger;
  readonly #settings: KeyLearnerSettings;
  readonly #waiting: Pupil[] = [];
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;

  constructor(store: ViewStore, logger: Logger, settings: KeyLearnerSettings) {
    this.#store = store;
    this.#logger = logger;
    this.#settings = settings;
  }

  add(pupil: Pupil): void {
    if (pupil.known.keys.isComplete) return;
    this.#waiting.push(pupil);
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    await pause(this.#settings.keyLearnDelayMs, signal);
    for (;;) {
      const pupil = this.#waiting.shift();
      if (pupil === undefined || signal.aborted) {
        this.#running = undefined;
        return;
      }
      const { shard, known } = pupil;
      const either = AbortSignal.any([signal, pupil.signal]);
      if (either.aborted) continue;
      try {
        if (await this.#learn(shard, known, either)) known.keys.learned();
      } catch (error) {
        if (either.aborted) continue;
        this.#logger.warn(
          { err: error, partition: shard.partition },
          'the filter of stored keys stays incomplete until a restart',
        );
      }
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
