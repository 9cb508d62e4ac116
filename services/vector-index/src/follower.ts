import { type Logger, pause } from '@memplane/runtime';
import { ApplyQueue } from './apply-queue.ts';
import type { EventFeed, FeedLine, LogShape } from './domain/ports.ts';
import type { Generation } from './drivers/generation.ts';

export interface FollowerOptions {
  readonly feed: EventFeed;
  readonly generation: Generation;
  readonly logger: Logger;
  readonly feedRetryMsMax: number;
  /** See {@link ApplyQueue}. */
  readonly applyIntervalMs: number;
  readonly apply_lines_full: number;
  /** @param startMs when their applying began, since 1970 */
  readonly onApplied: (lines: readonly FeedLine[], startMs: number) => void;
  /** A read has ended, or brought lines of another epoch: the log may have grown. */
  readonly onMayHaveGrown: () => void;
}

const RETRY_MS_MIN = 20;
/** What is of another epoch is read again after a while, unless this follower has ended by then. */
const GROWN_RETRY_MS = 100;
/** Why a read ends that is begun anew at once. */
const NUDGED = new Error('there is more than the open answer has brought');

/** Pulls every partition from its next offset on, and applies what comes, until it is stopped. */
export class Follower {
  readonly #options: FollowerOptions;
  readonly #queue: ApplyQueue;
  readonly #stopping = new AbortController();
  readonly #problems = new Map<number, string>();
  readonly #reads = new Map<number, AbortController>();
  #loops: Promise<void>[] = [];
  #epoch = 0;

  constructor(options: FollowerOptions) {
    this.#options = options;
    const { generation } = options;
    const applyAll = generation.applyAll.bind(generation);
    this.#queue = new ApplyQueue({ ...options, applyAll });
    generation.onWentBack = (error) => {
      for (const read of this.#reads.values()) read.abort(error);
    };
  }

  /** Why a partition does not follow at the moment. */
  get problem(): string | undefined {
    const [first] = this.#problems;
    return first === undefined ? undefined : `partition ${first[0]}: ${first[1]}`;
  }

  /** @param log whose partitions it follows, in that epoch and no other */
  start({ epoch, partitions }: LogShape): void {
    this.#epoch = epoch;
    this.#loops = Array.from({ length: partitions }, (_, partition) => this.#follow(partition));
  }

  /** Reads a partition anew at once: there is more than the open answer has brought. */
  nudge(partition: number): void {
    this.#reads.get(partition)?.abort(NUDGED);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#loops);
  }

  async #follow(partition: number): Promise<void> {
    const { signal } = this.#stopping;
    let failures = 0;
    while (!signal.aborted) {
      const read = new AbortController();
      this.#reads.set(partition, read);
      try {
        await this.#readOnce(partition, AbortSignal.any([signal, read.signal]));
        failures = 0;
        this.#problems.delete(partition);
      } catch (error) {
        if (signal.aborted) return;
        if (read.signal.reason === NUDGED) continue;
        const { logger, feedRetryMsMax } = this.#options;
        const pauseMs = Math.min(feedRetryMsMax, RETRY_MS_MIN * 2 ** Math.min(failures++, 16));
        this.#problems.set(partition, error instanceof Error ? error.message : String(error));
        if (failures > 3) logger.warn({ err: error, partition, pauseMs }, 'the feed has failed');
        await pause(pauseMs, signal);
      }
      this.#options.onMayHaveGrown();
    }
  }

  async #readOnce(partition: number, signal: AbortSignal): Promise<void> {
    const { feed, generation, onApplied } = this.#options;
    let after = generation.applied.get(partition) ?? -1;
    for await (const lines of feed.read(partition, after + 1, signal)) {
      // What a shard tells that is not split yet is in part its child's, which tells it again; what one
      // tells that is, is in part missing until the index has grown.
      if (lines.some(({ epoch }) => epoch !== this.#epoch)) {
        this.#options.onMayHaveGrown();
        await pause(GROWN_RETRY_MS, signal);
        return;
      }
      const room = generation.room(signal);
      if (room) await room;
      if (signal.aborted) return;
      const startMs = Date.now();
      await this.#queue.apply(partition, lines, after);
      after = lines.at(-1)?.offset ?? after;
      this.#problems.delete(partition);
      onApplied(lines, startMs);
    }
  }
}
