import type { Act } from './act.ts';

interface Write {
  readonly act: Act;
  readonly value: string;
}

/** Wall clocks of one machine, read at other moments than this test's. */
const CLOCK_MS = 2;

/** What one register may hold: one of the last writes. All replicas here have the same clock. */
export class RegisterMemory {
  #writes: Write[] = [];

  wrote(value: string, act: Act): void {
    this.#writes.push({ value, act });
  }

  /** What is wrong with what all replicas have; undefined stands for nothing there. */
  check(found: string | undefined): string | undefined {
    if (found === undefined) {
      return this.#writes.some(({ act }) => act.isDone) ? 'holds nothing' : undefined;
    }
    const write = this.#writes.find(({ value }) => value === found);
    if (write === undefined) return `holds ${found}, which was not written, or long ago`;
    const later = this.#writes.find(({ act }) => {
      return act.isDone && act.startMs > write.act.endMs + CLOCK_MS;
    });
    return later && `holds ${JSON.stringify(write)}, not ${JSON.stringify(later)}`;
  }

  settle(found: string | undefined): void {
    this.#writes = this.#writes.filter(({ value }) => value === found);
  }
}
