import type { FeedLine, PartitionLines } from './domain/ports.ts';

export interface ApplyQueueOptions {
  /** Applies all of it as one, or nothing. */
  readonly applyAll: (batches: readonly PartitionLines[]) => void;
  /** From the beginning of one transaction to the next, unless as much as this waits already. */
  readonly applyIntervalMs: number;
  readonly apply_lines_full: number;
}

interface Waiting extends PartitionLines {
  readonly done: PromiseWithResolvers<void>;
}

/**
 * Lets partitions share transactions. Each costs some pages of the database however few rows it has,
 * and on a busy plane a few rows of every partition arrive in every moment. A record that comes
 * alone waits for nobody. Its users bound it: each partition waits for its lines before it brings more.
 */
export class ApplyQueue {
  readonly #options: ApplyQueueOptions;
  #waiting: Waiting[] = [];
  #lines = 0;
  #begunAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ApplyQueueOptions) {
    this.#options = options;
  }

  /**
   * Resolves once the lines are applied. Rejects, with all that shared the transaction, when not.
   * @param after see {@link PartitionLines}
   */
  apply(partition: number, lines: readonly FeedLine[], after = -1): Promise<void> {
    const done = Promise.withResolvers<void>();
    this.#waiting.push({ partition, lines, after, done });
    this.#lines += lines.length;
    const { applyIntervalMs, apply_lines_full } = this.#options;
    const waitMs = this.#begunAt + applyIntervalMs - performance.now();
    if (waitMs <= 0 || this.#lines >= apply_lines_full) this.#schedule(0);
    else if (this.#timer === undefined) this.#schedule(waitMs);
    return done.promise;
  }

  #schedule(waitMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#run(), waitMs);
  }

  #run(): void {
    this.#timer = undefined;
    this.#begunAt = performance.now();
    const batches = this.#waiting;
    this.#waiting = [];
    this.#lines = 0;
    try {
      this.#options.applyAll(batches);
    } catch (error) {
      for (const { done } of batches) done.reject(error);
      return;
    }
    for (const { done } of batches) done.resolve();
  }
}
