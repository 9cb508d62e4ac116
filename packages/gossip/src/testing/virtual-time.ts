import type { Cancel } from '../ports.ts';

interface Entry {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | undefined;
}

/**
 * Time that moves only when it is told to: events run in the order of their time, and those of one
 * time in the order in which they were set.
 */
export class VirtualTime {
  /** A binary heap, the next event first. */
  readonly #heap: Entry[] = [];
  #order = 0;
  #nowMs = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): Cancel {
    const entry: Entry = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, run };
    this.#push(entry);
    return () => {
      entry.run = undefined;
    };
  }

  /** Runs all events of the next `ms` milliseconds. */
  run(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (let next = this.#heap[0]; next !== undefined; next = this.#heap[0]) {
      if (next.atMs > untilMs) break;
      this.#pop();
      if (next.run === undefined) continue;
      this.#nowMs = next.atMs;
      next.run();
    }
    this.#nowMs = untilMs;
  }

  /** Runs until something holds, looking every `stepMs`; gives how long that took. */
  runUntil(holds: () => boolean, limitMs: number, stepMs = 50): number {
    const startMs = this.#nowMs;
    while (!holds()) {
      if (this.#nowMs - startMs >= limitMs) throw new Error(`did not hold within ${limitMs} ms`);
      this.run(stepMs);
    }
    return this.#nowMs - startMs;
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || before(above, entry)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      const left = heap[child];
      if (left === undefined) break;
      let least = left;
      const right = heap[child + 1];
      if (right !== undefined && before(right, left)) {
        child += 1;
        least = right;
      }
      if (before(last, least)) break;
      heap[at] = least;
      at = child;
    }
    heap[at] = last;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
