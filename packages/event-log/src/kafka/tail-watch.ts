import { type FetchAnswer, fetchBytes } from './apis.ts';
import { type RawBatch, splitBatches } from './batch-decoder.ts';
import type { BoundsLookup } from './bounds.ts';
import type { Lane } from './broker-links.ts';
import { BrokerError, KAFKA, toLogError } from './errors.ts';
import type { ResolvedKafkaOptions } from './options.ts';
import { logClosed, pauseFor, retryPauseMs } from './retry.ts';
import type { TopicMap } from './topic-map.ts';

const DOING = 'waiting for the log to grow';
const LANES: readonly Lane[] = ['poll', 'poll2'];
/** A partition stays in the polls this long after it was waited for: its follower comes back. */
const INTEREST_MS = 2_000;

interface Waiter {
  readonly ends: ReadonlyMap<number, number>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Where fetched batches go, and how much of a partition is there already. */
export interface TailSink {
  add(batches: readonly RawBatch[]): void;
  bytesOf(partition: number): number;
}

/**
 * Waits at the end of partitions by fetches that the broker holds until there is something. One
 * fetch covers all partitions with one leader; what it brings is kept for the reads that follow, so
 * that a new record is one answer away from its reader.
 */
export class TailWatch {
  readonly #map: TopicMap;
  readonly #options: ResolvedKafkaOptions;
  readonly #bounds: BoundsLookup;
  readonly #sink: TailSink;
  readonly #closing: AbortSignal;
  readonly #waiters = new Set<Waiter>();
  readonly #ends = new Map<number, number>();
  readonly #waitedAt = new Map<number, number>();
  /** `leader/lane` → the partitions of the fetch under way. */
  readonly #polls = new Map<string, ReadonlySet<number>>();
  #failingSince: number | undefined;
  #failures = 0;

  constructor(
    map: TopicMap,
    options: ResolvedKafkaOptions,
    bounds: BoundsLookup,
    sink: TailSink,
    closing: AbortSignal,
  ) {
    this.#map = map;
    this.#options = options;
    this.#bounds = bounds;
    this.#sink = sink;
    this.#closing = closing;
    closing.addEventListener('abort', () => this.#failAll(logClosed()), { once: true });
  }

  /** The end as it was last seen; undefined when it was never asked for. */
  knownEnd(partition: number): number | undefined {
    return this.#ends.get(partition);
  }

  saw(partition: number, end: number): void {
    if (end <= (this.#ends.get(partition) ?? -1)) return;
    this.#ends.set(partition, end);
    this.#wake();
  }

  async waitBeyond(ends: ReadonlyMap<number, number>, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await Promise.all(
      [...ends.keys()].map(async (partition) => {
        if (this.#ends.has(partition)) return;
        this.saw(partition, (await this.#bounds.bounds(partition)).end);
      }),
    );
    signal.throwIfAborted();
    if (this.#isBeyond(ends)) return;
    if (this.#closing.aborted) throw logClosed();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { ends, resolve, reject };
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    this.#waiters.add(waiter);
    this.#poll();
    try {
      await promise;
    } finally {
      this.#waiters.delete(waiter);
      signal.removeEventListener('abort', onAbort);
    }
  }

  #isBeyond(ends: ReadonlyMap<number, number>): boolean {
    for (const [partition, seen] of ends) {
      if ((this.#ends.get(partition) ?? -1) > seen) return true;
    }
    return false;
  }

  #wake(): void {
    for (const waiter of this.#waiters) {
      if (!this.#isBeyond(waiter.ends)) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }

  #failAll(error: unknown): void {
    for (const { reject } of this.#waiters) reject(error);
    this.#waiters.clear();
  }

  /** Begins what fetches are missing: each awaited partition is to be in one of its leader's. */
  #poll(): void {
    if (this.#waiters.size === 0 || this.#closing.aborted) return;
    const now = performance.now();
    for (const { ends } of this.#waiters) {
      for (const partition of ends.keys()) this.#waitedAt.set(partition, now);
    }
    const covered = new Set([...this.#polls.values()].flatMap((partitions) => [...partitions]));
    const open = new Map<number, { partitions: number[]; isAwaited: boolean }>();
    for (const [partition, waitedAt] of this.#waitedAt) {
      if (covered.has(partition)) continue;
      const isAwaited = waitedAt === now;
      if (!isAwaited && !this.#isWorthIt(partition, now - waitedAt)) continue;
      const leader = this.#map.knownLeaderOf(partition);
      const group = open.get(leader) ?? { partitions: [], isAwaited: false };
      group.partitions.push(partition);
      group.isAwaited ||= isAwaited;
      open.set(leader, group);
    }
    for (const [leader, { partitions, isAwaited }] of open) {
      const lane = LANES.find((one) => !this.#polls.has(`${leader}/${one}`));
      if (isAwaited && lane !== undefined) void this.#fetch(leader, lane, partitions);
    }
  }

  /** Its follower was here just now, and has not left much unread. */
  #isWorthIt(partition: number, agoMs: number): boolean {
    return agoMs < INTEREST_MS && this.#sink.bytesOf(partition) < this.#options.fetchBytesMax;
  }

  async #fetch(leader: number, lane: Lane, partitions: readonly number[]): Promise<void> {
    const key = `${leader}/${lane}`;
    this.#polls.set(key, new Set(partitions));
    try {
      const { fetchWaitMsMax: waitMs, fetchBytesMax: bytesMax } = this.#options;
      const parts = partitions.map((partition) => ({
        partition,
        offset: this.#ends.get(partition) ?? 0,
        bytesMax,
      }));
      const request = { topicId: this.#map.topicId, waitMs, bytesMax: bytesMax * 2, parts };
      const answer = await this.#map.callNode(leader, lane, fetchBytes, request);
      if (answer.error !== KAFKA.none) throw new BrokerError(answer.error, DOING);
      for (const part of answer.parts) await this.#take(part);
      this.#failingSince = undefined;
      this.#failures = 0;
    } catch (error) {
      await this.#failed(error);
    } finally {
      this.#polls.delete(key);
      this.#poll();
    }
  }

  async #take({ partition, error, end, bytes }: FetchAnswer): Promise<void> {
    if (error === KAFKA.offsetOutOfRange) {
      // The end that we knew is gone, or the start has passed it: what is there now counts.
      this.#ends.set(partition, (await this.#bounds.bounds(partition)).end);
      this.#wake();
      return;
    }
    if (error !== KAFKA.none) throw new BrokerError(error, DOING);
    if (bytes.length > 0) this.#sink.add(splitBatches(partition, bytes));
    this.saw(partition, end);
  }

  /** Looks for the leaders again, after a pause; what waits fails when that lasts too long. */
  async #failed(error: unknown): Promise<void> {
    if (this.#closing.aborted) return;
    const now = performance.now();
    this.#failingSince ??= now;
    if (now - this.#failingSince > this.#options.operationDeadlineMs) {
      this.#failAll(toLogError(error, DOING, 'dependency_unavailable'));
    }
    await pauseFor(retryPauseMs(this.#failures++, this.#options), this.#closing);
    await this.#map.refresh().catch(() => {});
  }
}
