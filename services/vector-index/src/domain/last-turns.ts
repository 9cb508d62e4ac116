import { NO_ROW } from './bm25.ts';

const CAPACITY_FIRST = 1_024;

/** The last turn of each entity's dialogue, by the entity's number: 4 bytes an entity. */
export class LastTurns {
  #rows = new Uint32Array(CAPACITY_FIRST).fill(NO_ROW);

  /** @returns a row, or NO_ROW */
  of(ref: number): number {
    return this.#rows[ref] ?? NO_ROW;
  }

  set(ref: number, row: number): void {
    if (ref >= this.#rows.length) this.#grow(ref + 1);
    this.#rows[ref] = row;
  }

  #grow(needed: number): void {
    const rows = new Uint32Array(Math.max(needed, 2 * this.#rows.length)).fill(NO_ROW);
    rows.set(this.#rows);
    this.#rows = rows;
  }
}
