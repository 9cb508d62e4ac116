import { MemplaneError } from '@memplane/contracts';

export interface StallWatchOptions {
  /** How long the log may acknowledge nothing while appends are under way. */
  readonly stallMs: number;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  readonly onStall: () => void;
}

/**
 * Notices that the log answers this instance no longer, long before appends miss their deadline, so
 * that callers go to another instance instead of waiting here. Those that wait are told that their
 * events may be in the log; their appends live on. New ones are refused until the log has
 * acknowledged something: once nothing is under way, one at a time is let through to try.
 */
export class StallWatch {
  readonly #options: StallWatchOptions;
  #pending = 0;
  /** Of the last acknowledgement, or of the append before which nothing was under way. */
  #heardAt = 0;
  #isDoubtful = false;
  #timer: NodeJS.Timeout | undefined;
  /** How those that wait are told. Each goes with its append: a promise for all would keep them. */
  readonly #waiting = new Set<(stalled: MemplaneError) => void>();

  constructor(options: StallWatchOptions) {
    this.#options = options;
  }

  get isStalled(): boolean {
    return this.#isDoubtful && this.#pending > 0;
  }

  /** @throws MemplaneError `storage_unavailable` */
  check(): void {
    if (!this.isStalled) return;
    throw new MemplaneError('storage_unavailable', 'The log does not answer this instance.', {
      retryAfterMs: this.#options.stallMs,
    });
  }

  /**
   * Waits for an append, but no longer than the log is heard.
   * @throws MemplaneError `storage_unavailable`, or what the append throws
   */
  watch<T>(append: Promise<T>): Promise<T> {
    if (this.#pending++ === 0) this.#listen();
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#waiting.add(reject);
    const end = (isAcknowledged: boolean) => {
      this.#waiting.delete(reject);
      this.#end(isAcknowledged);
      resolve(append);
    };
    append.then(
      () => end(true),
      () => end(false),
    );
    return promise;
  }

  #listen(): void {
    this.#heardAt = this.#options.now();
    this.#timer ??= setTimeout(() => this.#look(), this.#options.stallMs).unref();
  }

  #end(isAcknowledged: boolean): void {
    this.#pending--;
    if (!isAcknowledged) return;
    this.#heardAt = this.#options.now();
    this.#isDoubtful = false;
  }

  /** The timer is left alone by appends, and looks again when there was something to hear. */
  #look(): void {
    this.#timer = undefined;
    if (this.#pending === 0) return;
    const { stallMs, now, onStall } = this.#options;
    const leftMs = this.#heardAt + stallMs - now();
    if (leftMs <= 0) {
      this.#isDoubtful = true;
      const stalled = unheard(stallMs);
      for (const tell of this.#waiting) tell(stalled);
      this.#waiting.clear();
      onStall();
    }
    const waitMs = leftMs <= 0 ? stallMs : leftMs;
    this.#timer = setTimeout(() => this.#look(), waitMs).unref();
  }
}

function unheard(stallMs: number): MemplaneError {
  return new MemplaneError(
    'storage_unavailable',
    `The log has acknowledged nothing for ${stallMs} ms. The events may be in it: repeat them with their ids.`,
    { retryAfterMs: stallMs },
  );
}
