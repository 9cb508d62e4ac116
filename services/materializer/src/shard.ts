import { MemplaneError } from '@memplane/contracts';
import type { LatestEntities } from './domain/apply-batch.ts';
import type { ShardRecord } from './domain/shard-record.ts';

export type ShardState = 'running' | 'paused' | 'damaged' | 'closed';

/** A read waits urgently: the shard goes first. A feed takes what comes, when it comes. */
export type Urgency = 'urgent' | 'patient';

interface Waiter {
  readonly offset: number;
  readonly wake: () => void;
}

function nothing(): void {}

/** One partition's shard while this instance owns it: how far it is, how it does, and who waits for it. */
export class Shard {
  readonly partition: number;
  /** The epoch of the ownership under which it was opened. */
  readonly ownerEpoch: number;
  /**
   * Nothing is answered before this offset is applied: an earlier owner may have answered with as
   * much.
   */
  readonly answersFrom: number;
  #record: ShardRecord;
  #state: ShardState = 'running';
  #problem: MemplaneError | undefined;
  #logEnd = 0;
  #writing: Promise<unknown> = Promise.resolve();
  readonly #waiters = new Set<Waiter>();
  #urgent = 0;
  #endRest: () => void = nothing;
  #onAwaited: () => void = nothing;
  readonly #limit: WaitLimit;
  /** Known to whoever applies the log to it. */
  latest: LatestEntities | undefined;

  constructor(
    partition: number,
    record: ShardRecord,
    { ownerEpoch, answersFrom = -1 }: { ownerEpoch: number; answersFrom?: number },
    limit: WaitLimit,
  ) {
    this.partition = partition;
    this.ownerEpoch = ownerEpoch;
    this.answersFrom = answersFrom;
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

  /** Whether it is as far as any earlier owner was. */
  get hasCaughtUp(): boolean {
    return this.#record.applied >= this.answersFrom;
  }

  /** Where the log was last seen to end. */
  get logEnd(): number {
    return this.#logEnd;
  }

  /** Whether a read waits for it to go on. */
  get isAwaited(): boolean {
    return this.#urgent > 0;
  }

  /** Calls back whenever a read begins to wait for the shard. */
  onAwaited(listener: () => void): void {
    this.#onAwaited = listener;
  }

  /** Resolves after a while, or as soon as a read waits for the shard. @param ms milliseconds */
  async restUntilAwaited(ms: number, signal: AbortSignal): Promise<void> {
    if (this.isAwaited || signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const end = () => resolve();
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end, { once: true });
    this.#endRest = end;
    await promise;
    this.#endRest = nothing;
    signal.removeEventListener('abort', end);
    clearTimeout(timer);
  }

  /** The log was seen to end at this offset. */
  sawLogEnd(end: number): void {
    this.#logEnd = Math.max(this.#logEnd, end);
  }

  /**
   * Runs what reads and writes the shard's record: one after the other, in the order of asking.
   * Applying is one such work a batch; removing old history fits between.
   */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#writing.then(work);
    this.#writing = result.then(nothing, nothing);
    return result;
  }

  /** The start of the history has moved; nothing before it has been removed yet. */
  moveHistoryStart(historyStart: number): void {
    this.#record = { ...this.#record, historyStart };
  }

  /** A batch is in the store. */
  advance(record: ShardRecord): void {
    this.#record = record;
    if (this.#state === 'closed') return;
    this.#state = 'running';
    this.#problem = undefined;
    for (const waiter of this.#waiters) if (waiter.offset <= record.applied) waiter.wake();
  }

  /** Applying waits for better times; reads go on. */
  pause(problem: MemplaneError): void {
    if (this.#state === 'closed') return;
    this.#state = 'paused';
    this.#problem = problem;
  }

  /** Applying has ended for good: what comes next in the log can't be read. */
  damage(problem: MemplaneError): void {
    this.#end('damaged', problem);
  }

  /** The partition is another instance's from now on: whoever waits here has to go there. */
  close(): void {
    this.#end('closed', ownerMoving(this.partition));
  }

  #end(state: 'damaged' | 'closed', problem: MemplaneError): void {
    if (this.#state === 'closed') return;
    this.#state = state;
    this.#problem = problem;
    for (const waiter of this.#waiters) waiter.wake();
  }

  /**
   * Resolves true once `offset` is applied, false at the deadline.
   * @param deadline on the clock of `performance.now()`
   * @throws MemplaneError `storage_damaged` when it never will be, `owner_moving` when not here,
   * `overloaded`, the signal's reason
   */
  async waitFor(
    offset: number,
    deadline: number,
    signal: AbortSignal,
    urgency: Urgency = 'urgent',
  ): Promise<boolean> {
    while (this.applied < offset) {
      if (this.#hasEnded && this.#problem !== undefined) throw this.#problem;
      if (performance.now() >= deadline) return false;
      await this.#changed(offset, deadline, signal, urgency);
    }
    return true;
  }

  get #hasEnded(): boolean {
    return this.#state === 'damaged' || this.#state === 'closed';
  }

  async #changed(
    offset: number,
    deadline: number,
    signal: AbortSignal,
    urgency: Urgency,
  ): Promise<void> {
    signal.throwIfAborted();
    this.#limit.enter();
    try {
      await new Promise<void>((resolve, reject) => {
        const end = () => {
          clearTimeout(timer);
          signal.removeEventListener('abort', abort);
          if (this.#waiters.delete(waiter) && urgency === 'urgent') this.#urgent--;
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
        if (urgency === 'patient') return;
        this.#urgent++;
        this.#endRest();
        this.#onAwaited();
      });
    } finally {
      this.#limit.leave();
    }
  }
}

const OWNER_MOVING_RETRY_MS = 200;

/** This instance does not own a partition, or is not sure that it does. */
export function ownerMoving(partition: number): MemplaneError {
  return new MemplaneError('owner_moving', `Partition ${partition} is changing its owner.`, {
    retryAfterMs: OWNER_MOVING_RETRY_MS,
    extra: { partition },
  });
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
