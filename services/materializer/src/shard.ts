import { MemplaneError } from '@memplane/contracts';
import type { ShardRecord } from './domain/shard-record.ts';

export type ShardState = 'running' | 'paused' | 'damaged';

interface Waiter {
  readonly offset: number;
  readonly wake: () => void;
}

/** One partition's shard: how far it is, how it does, and who waits for it. */
export class Shard {
  readonly partition: number;
  #record: ShardRecord;
  #state: ShardState = 'running';
  #problem: MemplaneError | undefined;
  #logEnd = 0;
  readonly #waiters = new Set<Waiter>();
  readonly #limit: WaitLimit;

  constructor(partition: number, record: ShardRecord, limit: WaitLimit) {
    this.partition = partition;
    this.#record = record;
    this.#limit = limit;
  }

  /** As of the last batch that was written. */
  get record(): ShardRecord {
    return this.#record;
  }

  get applied(): number {
    return this.#record.applied;
  }

  get state(): ShardState {
    return this.#state;
  }

  get problem(): MemplaneError | undefined {
    return this.#problem;
  }

  /** Events that were in the log when it was last looked at, and are not applied yet. */
  get lag(): number {
    return Math.max(0, this.#logEnd - 1 - this.#record.applied);
  }

  /** Where the log was last seen to end. */
  get logEnd(): number {
    return this.#logEnd;
  }

  /** The log was seen to end at this offset. */
  sawLogEnd(end: number): void {
    this.#logEnd = Math.max(this.#logEnd, end);
  }

  /** A batch is in the store. */
  advance(record: ShardRecord): void {
    this.#record = record;
    this.#state = 'running';
    this.#problem = undefined;
    for (const waiter of this.#waiters) if (waiter.offset <= record.applied) waiter.wake();
  }

  /** Applying waits for better times; reads go on. */
  pause(problem: MemplaneError): void {
    this.#state = 'paused';
    this.#problem = problem;
  }

  /** Applying has ended for good: what comes next in the log can't be read. */
  damage(problem: MemplaneError): void {
    this.#state = 'damaged';
    this.#problem = problem;
    for (const waiter of this.#waiters) waiter.wake();
  }

  /**
   * Resolves true once `offset` is applied, false at the deadline.
   * @param deadline on the clock of `performance.now()`
   * @throws MemplaneError `storage_damaged` when it never will be, `overloaded`, the signal's reason
   */
  async waitFor(offset: number, deadline: number, signal: AbortSignal): Promise<boolean> {
    while (this.applied < offset) {
      if (this.#state === 'damaged' && this.#problem !== undefined) throw this.#problem;
      if (performance.now() >= deadline) return false;
      await this.#changed(offset, deadline, signal);
    }
    return true;
  }

  async #changed(offset: number, deadline: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#limit.enter();
    try {
      await new Promise<void>((resolve, reject) => {
        const end = () => {
          clearTimeout(timer);
          signal.removeEventListener('abort', abort);
          this.#waiters.delete(waiter);
        };
        const wake = () => {
          end();
          resolve();
        };
        const abort = () => {
          end();
          reject(signal.reason);
        };
        const waiter: Waiter = { offset, wake };
        const timer = setTimeout(wake, Math.max(0, deadline - performance.now()));
        signal.addEventListener('abort', abort, { once: true });
        this.#waiters.add(waiter);
      });
    } finally {
      this.#limit.leave();
    }
  }
}

/** How many reads of the whole service may wait at once. */
export class WaitLimit {
  readonly #max: number;
  #waiting = 0;

  constructor(max: number) {
    this.#max = max;
  }

  enter(): void {
    if (this.#waiting >= this.#max) {
      throw new MemplaneError('overloaded', `${this.#max} reads are already waiting.`, {
        retryAfterMs: 100,
        extra: { limit: 'waiting_reads_max', max: this.#max },
      });
    }
    this.#waiting++;
  }

  leave(): void {
    this.#waiting--;
  }
}
