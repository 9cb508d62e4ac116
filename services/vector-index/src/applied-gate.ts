import { type Cut, MemplaneError } from '@memplane/contracts';

interface Waiting {
  readonly offsets: ReadonlyMap<number, number>;
  readonly resolve: () => void;
}

export interface Nudging {
  /** How long something is waited for before {@link nudge}. */
  readonly afterMs: number;
  /** Told of a partition that is waited for: it may be read at once, instead of when it comes. */
  readonly nudge: (partition: number) => void;
}

/** Lets searches wait until the index has applied what they must include. */
export class AppliedGate {
  readonly #applied: () => ReadonlyMap<number, number>;
  readonly #waiting_reads_max: number;
  readonly #nudging: Nudging | undefined;
  readonly #waiting = new Set<Waiting>();

  constructor(
    applied: () => ReadonlyMap<number, number>,
    waiting_reads_max: number,
    nudging?: Nudging,
  ) {
    this.#applied = applied;
    this.#waiting_reads_max = waiting_reads_max;
    this.#nudging = nudging;
  }

  /** Whether searches wait at the moment. */
  get isWaitedFor(): boolean {
    return this.#waiting.size > 0;
  }

  /** To be called whenever something has been applied. */
  wake(): void {
    for (const waiting of this.#waiting) {
      if (!this.has(waiting)) continue;
      this.#waiting.delete(waiting);
      waiting.resolve();
    }
  }

  /** @throws MemplaneError `not_yet_visible` after `waitMs`, `overloaded` */
  async wait(cut: Pick<Cut, 'offsets'>, waitMs: number, signal: AbortSignal): Promise<void> {
    if (this.has(cut)) return;
    if (this.#waiting.size >= this.#waiting_reads_max) {
      throw new MemplaneError('overloaded', 'Too many searches wait for the index.', {
        retryAfterMs: 200,
        extra: { limit: 'waiting_reads_max', max: this.#waiting_reads_max },
      });
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting: Waiting = { offsets: cut.offsets, resolve };
    const abort = () => reject(signal.reason);
    const timer = setTimeout(() => {
      const detail = `The index has not applied this within ${waitMs} ms.`;
      reject(new MemplaneError('not_yet_visible', detail, { retryAfterMs: 100 }));
    }, waitMs);
    const nudging = this.#nudging;
    const nudge = nudging && setTimeout(() => this.#nudgeFor(cut.offsets), nudging.afterMs);
    this.#waiting.add(waiting);
    signal.addEventListener('abort', abort, { once: true });
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      clearTimeout(nudge);
      this.#waiting.delete(waiting);
      signal.removeEventListener('abort', abort);
    }
  }

  #nudgeFor(offsets: ReadonlyMap<number, number>): void {
    const applied = this.#applied();
    for (const [partition, offset] of offsets) {
      if ((applied.get(partition) ?? -1) < offset) this.#nudging?.nudge(partition);
    }
  }

  /** Whether the index has applied all of it. */
  has({ offsets }: Pick<Cut, 'offsets'>): boolean {
    const applied = this.#applied();
    for (const [partition, offset] of offsets) {
      if ((applied.get(partition) ?? -1) < offset) return false;
    }
    return true;
  }
}
