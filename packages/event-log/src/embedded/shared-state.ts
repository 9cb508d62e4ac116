import { PARTITIONS_MAX } from '@memplane/contracts';
import type { LogBounds, LogInfo } from '../port.ts';

/**
 * What the writer tells readers in other threads of its process: the bounds of each partition and
 * a count of changes to wait on. It can be posted to a worker as it is.
 */
export interface SharedLogState {
  readonly info: LogInfo;
  readonly buffer: SharedArrayBuffer;
}

/**
 * int32: 0 changes · 1 closed · 2 epoch · 3 partitions · 4 partitions that it began with; from byte 64
 * on, per partition: int64 start, end and base. There is room for all that the log may ever grow to.
 */
const BOUNDS_AT = 64;
const CHANGES = 0;
const CLOSED = 1;
const EPOCH = 2;
const PARTITIONS = 3;
const PARTITIONS_INITIAL = 4;
const START = 0;
const END = 1;
const BASE = 2;
const WORDS = 3;

export function createSharedState(info: LogInfo): SharedLogState {
  const buffer = new SharedArrayBuffer(BOUNDS_AT + 8 * WORDS * PARTITIONS_MAX);
  const state = { info, buffer };
  new SharedBounds(state).setInfo(info);
  return state;
}

export class SharedBounds {
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly #bounds: BigInt64Array<SharedArrayBuffer>;
  #info: LogInfo;

  constructor(state: SharedLogState) {
    this.#info = state.info;
    this.words = new Int32Array(state.buffer, 0, BOUNDS_AT / 4);
    this.#bounds = new BigInt64Array(state.buffer, BOUNDS_AT);
  }

  /** As the writer has last told it. */
  get info(): LogInfo {
    const epoch = Atomics.load(this.words, EPOCH);
    if (epoch === this.#info.epoch) return this.#info;
    const partitions = Atomics.load(this.words, PARTITIONS);
    const partitionsInitial = Atomics.load(this.words, PARTITIONS_INITIAL);
    const bases = Array.from({ length: partitions }, (_, p) => this.#load(p, BASE));
    this.#info = { ...this.#info, epoch, partitions, lineage: { partitionsInitial, bases } };
    return this.#info;
  }

  /** The epoch comes last: who sees it sees all of its shape. Bounds of new partitions come before. */
  setInfo({ epoch, partitions, lineage }: LogInfo): void {
    for (const [p, base] of (lineage?.bases ?? []).entries()) this.#store(p, BASE, base);
    Atomics.store(this.words, PARTITIONS, partitions);
    Atomics.store(this.words, PARTITIONS_INITIAL, lineage?.partitionsInitial ?? partitions);
    Atomics.store(this.words, EPOCH, epoch);
  }

  start(partition: number): number {
    return this.#load(partition, START);
  }

  end(partition: number): number {
    return this.#load(partition, END);
  }

  bounds(partition: number): LogBounds {
    return { start: this.start(partition), end: this.end(partition) };
  }

  setStart(partition: number, start: number): void {
    this.#store(partition, START, start);
  }

  setEnd(partition: number, end: number): void {
    this.#store(partition, END, end);
  }

  #load(partition: number, word: number): number {
    return Number(Atomics.load(this.#bounds, partition * WORDS + word));
  }

  #store(partition: number, word: number, value: number): void {
    Atomics.store(this.#bounds, partition * WORDS + word, BigInt(value));
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
