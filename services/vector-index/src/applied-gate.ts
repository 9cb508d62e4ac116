import { type Cut, cutInEpoch, MemplaneError } from '@memplane/contracts';
import type { LogShape } from './domain/ports.ts';

/** What must be applied. Without an epoch it is of the one that the index knows. */
export type Awaited = Pick<Cut, 'offsets'> | Cut;

interface Waiting {
  readonly cut: Awaited;
  readonly resolve: () => void;
}

/** What the index has at the moment. */
export interface IndexState {
  readonly applied: ReadonlyMap<number, number>;
  /** Undefined until it is known. */
  readonly log: LogShape | undefined;
}

export interface Nudging {
  /** How long something is waited for before {@link nudge}. */
  readonly afterMs: number;
  /** Told of a partition that is waited for: it may be read at once, instead of when it comes. */
  readonly nudge: (partition: number) => void;
}

/** Lets searches wait until the index has applied what they must include. */
export class AppliedGate {
  readonly #index: IndexState;
  readonly #waiting_reads_max: number;
  readonly #nudging: Nudging | undefined;
  readonly #waiting = new Set<Waiting>();

  constructor(index: IndexState, waiting_reads_max: number, nudging?: Nudging) {
    this.#index = index;
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
      if (!this.has(waiting.cut)) continue;
      this.#waiting.delete(waiting);
      waiting.resolve();
    }
  }

  /** @throws MemplaneError `not_yet_visible` after `waitMs`, `overloaded` */
  async wait(cut: Awaited, waitMs: number, signal: AbortSignal): Promise<void> {
    if (this.has(cut)) return;
    if (this.#waiting.size >= this.#waiting_reads_max) {
      throw new MemplaneError('overloaded', 'Too many searches wait for the index.', {
        retryAfterMs: 200,
        extra: { limit: 'waiting_reads_max', max: this.#waiting_reads_max },
      });
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting: Waiting = { cut, resolve };
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
    const { applied } = this.#index;
    for (const [partition, offset] of offsets) {
      if ((applied.get(partition) ?? -1) < offset) this.#nudging?.nudge(partition);
    }
  }

  /** Whether the index has applied all of it. */
  has(cut: Awaited): boolean {
    const { applied, log } = this.#index;
    // What is of a later epoch than the index knows may be of partitions that it does not follow yet.
    if ('epoch' in cut && cut.epoch > (log?.epoch ?? cut.epoch)) return false;
    const { offsets } = 'epoch' in cut && log !== undefined ? cutInEpoch(cut, log) : cut;
    for (const [partition, offset] of offsets) {
      if ((applied.get(partition) ?? -1) < offset) return false;
    }
    return true;
  }
}
