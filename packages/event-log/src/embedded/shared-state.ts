import type { LogBounds, LogInfo } from '../port.ts';

/**
 * What the writer tells readers in other threads of its process: the bounds of each partition and
 * a count of changes to wait on. It can be posted to a worker as it is.
 */
export interface SharedLogState {
  readonly info: LogInfo;
  readonly buffer: SharedArrayBuffer;
}

/** int32: 0 changes · 1 closed; from byte 64 on, per partition: int64 start, int64 end. */
const BOUNDS_AT = 64;
const CHANGES = 0;
const CLOSED = 1;

export function createSharedState(info: LogInfo): SharedLogState {
  return { info, buffer: new SharedArrayBuffer(BOUNDS_AT + 16 * info.partitions) };
}

export class SharedBounds {
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly #bounds: BigInt64Array<SharedArrayBuffer>;

  constructor(state: SharedLogState) {
    this.words = new Int32Array(state.buffer, 0, BOUNDS_AT / 4);
    this.#bounds = new BigInt64Array(state.buffer, BOUNDS_AT);
  }

  start(partition: number): number {
    return Number(Atomics.load(this.#bounds, partition * 2));
  }

  end(partition: number): number {
    return Number(Atomics.load(this.#bounds, partition * 2 + 1));
  }

  bounds(partition: number): LogBounds {
    return { start: this.start(partition), end: this.end(partition) };
  }

  setStart(partition: number, start: number): void {
    Atomics.store(this.#bounds, partition * 2, BigInt(start));
  }

  setEnd(partition: number, end: number): void {
    Atomics.store(this.#bounds, partition * 2 + 1, BigInt(end));
  }

  get changes(): number {
    return Atomics.load(this.words, CHANGES);
  }

  get closed(): boolean {
    return Atomics.load(this.words, CLOSED) === 1;
  }

  /** Wakes everyone who waits for a change. */
  announce(): void {
    Atomics.add(this.words, CHANGES, 1);
    Atomics.notify(this.words, CHANGES);
  }

  close(): void {
    Atomics.store(this.words, CLOSED, 1);
    this.announce();
  }
}
