import { LIMITS, MemplaneError } from '@memplane/contracts';
import type { LogReader, LogRecord } from '@memplane/event-log';
import { type Logger, pause } from '@memplane/runtime';
import type { ApplySettings } from '../domain/apply-batch.ts';
import { epochOf } from '../domain/shard-epoch.ts';
import { wholeBatches } from '../domain/whole-batches.ts';
import type { Shard } from '../shard.ts';
import { type FoldedBatch, foldRecords } from './applier.ts';
import { BatchPace } from './batch-pace.ts';
import { KeyLearner, type KeyLearnerSettings } from './key-learner.ts';
import { Slots } from './slots.ts';
import type { StorageGuard } from './storage-guard.ts';
import type { ViewStore } from './view-store.ts';
import { WorkingSet } from './working-set.ts';

export interface FollowerSettings extends ApplySettings, KeyLearnerSettings {
  readonly apply_batch_records_max: number;
  readonly apply_batch_bytes_max: number;
  readonly apply_batches_at_once_max: number;
  readonly applyRetryMsMax: number;
  /**
   * Least time from one batch of a shard to its next while batches are many, unless a read waits or
   * there is a backlog.
   */
  readonly applyRestMs: number;
  /** Memory for the entities that were changed last, over all shards. */
  readonly entity_cache_bytes_max: number;
  /** Memory for the filters of keys that may be stored, over all shards. */
  readonly key_filter_bytes: number;
}

export interface FollowerPorts {
  readonly log: LogReader;
  readonly store: ViewStore;
  readonly guard: StorageGuard;
  readonly logger: Logger;
  /** Called when a batch is in the store and visible. */
  readonly onApplied: (shard: Shard, batch: FoldedBatch, startedAt: number) => void;
  readonly onDamaged: (shard: Shard, problem: MemplaneError) => void;
  /**
   * Reads records that the log no longer has, where there is an archive.
   * Empty: there is none.
   */
  readonly readArchive?: (partition: number, from: number) => Promise<LogRecord[]>;
}

/** Batches that are applied beside the others since reads wait for them. */
const PLACES_FOR_READS = 2;

/**
 * Records of the first batch of a backlog, each next one may have twice as many: where all shards have
 * much to do, as after a restart, a read that comes meanwhile must not wait for the largest.
 */
const FIRST_BATCH_RECORDS = 64;

/** How often a shard at its barrier is looked at, in milliseconds, if nobody closes it. */
const BARRIER_LOOK_MS = 50;

/** Holds any batch of a strong entity, which is applied in one piece. */
const STRONG_BATCH = {
  maxBytes: 4 * LIMITS.strong_batch_bytes_max,
  maxRecords: LIMITS.strong_batch_events_max,
};

/** One shard that is followed. */
interface Following {
  readonly shard: Shard;
  /** Of the next batch, at most. */
  recordsMax: number;
  readonly known: WorkingSet;
  readonly ending: AbortController;
  ahead?: ReadAhead | undefined;
  loop: Promise<void>;
}

/** Follows the log, each shard by itself; a few batches of different shards at a time. */
export class Follower {
  readonly #ports: FollowerPorts;
  readonly #settings: FollowerSettings;
  readonly #slots: Slots;
  readonly #pace = new BatchPace();
  readonly #learner: KeyLearner;
  readonly #followed = new Map<Shard, Following>();

  constructor(ports: FollowerPorts, settings: FollowerSettings) {
    this.#ports = ports;
    this.#settings = settings;
    this.#slots = new Slots(settings.apply_batches_at_once_max, PLACES_FOR_READS);
    this.#learner = new KeyLearner(ports.store, ports.logger, settings);
  }

  /** Follows a shard from what it has applied on, until it is removed. */
  add(shard: Shard): void {
    const { entity_cache_bytes_max: entityBytes, key_filter_bytes: keyBytes } = this.#settings;
    const { partitions } = this.#ports.log.info;
    const known = new WorkingSet(shard.applied, {
      entity_cache_bytes_max: Math.floor(entityBytes / partitions),
      key_filter_bytes: Math.floor(keyBytes / partitions),
    });
    const ending = new AbortController();
    const following: Following = {
      shard,
      recordsMax: this.#recordsMax(0),
      known,
      ending,
      loop: Promise.resolve(),
    };
    this.#followed.set(shard, following);
    shard.latest = known;
    shard.onAwaited(() => this.#slots.hurry());
    following.loop = this.#follow(following);
    this.#learner.add({ shard, known, signal: ending.signal });
  }

  /** Finishes the batch under way; a shard that is closed already begins no write any more. */
  async remove(shard: Shard): Promise<void> {
    const following = this.#followed.get(shard);
    if (following === undefined) return;
    following.ending.abort();
    await following.loop;
    await following.ahead?.records;
    // Whoever else was writing sees that the shard is closed.
    await shard.exclusively(async () => {});
    this.#followed.delete(shard);
  }

  /** Removes all. */
  async stop(): Promise<void> {
    await Promise.all([...this.#followed.keys()].map((shard) => this.remove(shard)));
    await this.#learner.stop();
  }

  async #follow(following: Following): Promise<void> {
    const { log, logger, onDamaged } = this.#ports;
    const { shard } = following;
    const { signal } = following.ending;
    let failures = 0;
    while (!signal.aborted) {
      try {
        const startedAt = performance.now();
        const worked = await this.#slots.use(shard, () => this.#step(following));
        failures = 0;
        if (worked) await this.#rest(following, startedAt);
        else if (this.#isAtBarrier(shard)) await pause(BARRIER_LOOK_MS, signal);
        else await log.waitBeyond(new Map([[shard.partition, shard.applied + 1]]), signal);
      } catch (error) {
        if (signal.aborted) return;
        const problem = asProblem(error);
        if (problem.code === 'storage_damaged' && problem.extra['offset'] !== undefined) {
          shard.damage(problem);
          onDamaged(shard, problem);
          return;
        }
        shard.pause(problem);
        if (failures++ === 0) {
          logger.error({ err: error, partition: shard.partition }, 'applying pauses');
        }
        const pauseMs = Math.min(this.#settings.applyRetryMsMax, 20 * 2 ** Math.min(failures, 10));
        await pause(pauseMs, signal);
        await this.#ports.guard.recover(problem).catch(() => {});
      }
    }
  }

  /** What comes in small pieces is cheaper together: a batch has its price, however small it is. */
  async #rest({ shard, ending }: Following, startedAt: number): Promise<void> {
    this.#pace.note(startedAt);
    const now = performance.now();
    const restMs = startedAt + this.#settings.applyRestMs - now;
    if (restMs <= 0 || shard.lag > 0 || !this.#pace.isHigh(now)) return;
    await shard.restUntilAwaited(restMs, ending.signal);
  }

  /** @returns false at the end of the log */
  async #step(following: Following): Promise<boolean> {
    const { shard, ending } = following;
    if (ending.signal.aborted) return true;
    const records = await this.#next(following);
    if (records.length === 0) return false;
    const startedAt = performance.now();
    const batch = await shard.exclusively(() => this.#apply(following, records));
    if (batch !== undefined) this.#ports.onApplied(shard, batch, startedAt);
    return true;
  }

  /** @returns undefined when the shard was closed before anything was written */
  async #apply(
    following: Following,
    records: readonly LogRecord[],
  ): Promise<FoldedBatch | undefined> {
    const { shard, known } = following;
    const { rocks } = this.#ports.store;
    const { record, partition } = shard;
    const settings = this.#settingsOf(shard);
    const batch = await foldRecords(rocks, record, partition, records, settings, known);
    // There is more, and nobody else to use the time: read on while the store writes.
    if (shard.logEnd - 1 > batch.shard.applied && !this.#slots.isContended) {
      const from = batch.shard.applied + 1;
      following.ahead = { from, records: this.#read(following, from).catch(() => undefined) };
    }
    if (shard.state === 'closed') return undefined;
    await rocks.write(batch.writes);
    batch.written();
    shard.advance(batch.shard);
    following.recordsMax = this.#recordsMax(shard.lag > 0 ? following.recordsMax : 0);
    return batch;
  }

  /** Nothing more is applied to it before it is closed, split and opened again. */
  #isAtBarrier({ partition, record, applied }: Shard): boolean {
    return applied + 1 >= epochOf(this.#ports.log.info, partition, record).barrier;
  }

  #settingsOf({ partition, record }: Shard): ApplySettings {
    const { isForeign } = epochOf(this.#ports.log.info, partition, record);
    return isForeign === undefined ? this.#settings : { ...this.#settings, isForeign };
  }

  /** A shard of an earlier epoch goes up to its barrier: behind it, the log goes on with two. */
  #withinEpoch({ shard }: Following, records: readonly LogRecord[]): readonly LogRecord[] {
    const { barrier } = epochOf(this.#ports.log.info, shard.partition, shard.record);
    const last = records.at(-1)?.offset ?? -1;
    return last < barrier ? records : records.filter(({ offset }) => offset < barrier);
  }

  /** What comes next in the log; often it was read while the batch before was written. */
  async #next(following: Following): Promise<readonly LogRecord[]> {
    const { ahead, shard } = following;
    following.ahead = undefined;
    const from = shard.applied + 1;
    const records = ahead?.from === from ? await ahead.records : undefined;
    return records ?? (await this.#read(following, from));
  }

  /** Of the batch after one of so many records; 0: the first. */
  #recordsMax(before: number): number {
    const wanted = Math.max(FIRST_BATCH_RECORDS, 2 * before);
    return Math.min(wanted, this.#settings.apply_batch_records_max);
  }

  async #read(following: Following, from: number): Promise<readonly LogRecord[]> {
    return this.#withinEpoch(following, await this.#readAny(following, from));
  }

  async #readAny({ shard, recordsMax }: Following, from: number): Promise<readonly LogRecord[]> {
    const { log, readArchive } = this.#ports;
    const { apply_batch_bytes_max: maxBytes } = this.#settings;
    shard.sawLogEnd((await log.bounds(shard.partition)).end);
    try {
      const records = await log.read(shard.partition, from, { maxBytes, maxRecords: recordsMax });
      const whole = wholeBatches(records);
      if (whole.length > 0 || records.length === 0) return whole;
      const more = await log.read(shard.partition, from, STRONG_BATCH);
      const wholeOfMore = wholeBatches(more);
      return wholeOfMore.length > 0 ? wholeOfMore : more;
    } catch (error) {
      if (!(error instanceof MemplaneError) || error.code !== 'history_expired') throw error;
      const archived = (await readArchive?.(shard.partition, from)) ?? [];
      if (archived.length === 0) throw error;
      return archived;
    }
  }
}

/** Records that are being read before they are asked for; undefined when that failed. */
interface ReadAhead {
  readonly from: number;
  readonly records: Promise<readonly LogRecord[] | undefined>;
}

function asProblem(error: unknown): MemplaneError {
  if (error instanceof MemplaneError) return error;
  return new MemplaneError('internal', 'Applying failed; it was logged.', { cause: error });
}
