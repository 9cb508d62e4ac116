import { Bitmap } from '../domain/bitmap.ts';
import type { Database } from './database.ts';

/** Rows that gather in memory before they are written; twice as many are written at once. */
const MEMORY_ROWS_MAX = 32_768;
/** Rows that one step writes, at least: it never holds up a search for long. */
const STEP_ROWS = 512;

type RowsByEntity = Map<number, number[]>;

/**
 * Which rows each entity has. The newest are in memory, and are written many at a time, step by step
 * in the order of their entities: one by one, each would change another page of the database. At a
 * start they are told again, from {@link storedEnd} on.
 */
export class EntityRows {
  readonly #db: Database;
  readonly #tenant: string;
  #newest: RowsByEntity = new Map();
  #newestCount = 0;
  #newestEnd = 0;
  /** What is being written: all of it is found here until the last of it is. */
  #writing: RowsByEntity = new Map();
  #writingEnd = 0;
  /** The entities that are still to be written, the next one last. */
  #left: number[] = [];
  #storedEnd: number;

  constructor(db: Database, tenant: string) {
    this.#db = db;
    this.#tenant = tenant;
    this.#storedEnd = Number(db.meta(this.#key) ?? 0);
  }

  get #key(): string {
    return `entity-rows:${this.#tenant}`;
  }

  /** All rows below this one are in the database. */
  get storedEnd(): number {
    return this.#storedEnd;
  }

  /** Rows come in rising order. Within a transaction of the caller. */
  add(ref: number, row: number): void {
    const rows = this.#newest.get(ref);
    if (rows) rows.push(row);
    else this.#newest.set(ref, [row]);
    this.#newestCount++;
    this.#newestEnd = row + 1;
    if (this.#newestCount >= 2 * MEMORY_ROWS_MAX) while (this.#isDue) this.#write();
  }

  of(ref: number): Bitmap {
    const found = this.#db
      .sql(`SELECT json_group_array(row) AS list FROM entity_rows
            WHERE tenant = ? AND entity_ref = ?`)
      .get(this.#tenant, ref);
    const stored = JSON.parse(String(found?.['list'] ?? '[]')) as number[];
    const inMemory = [this.#writing, this.#newest].flatMap((rows) => rows.get(ref) ?? []);
    return Bitmap.of(stored.concat(inMemory));
  }

  /** Writes some of what has gathered; false when that is too little. */
  step(): boolean {
    if (!this.#isDue) return false;
    this.#db.transaction(() => this.#write());
    return true;
  }

  get #isDue(): boolean {
    return this.#left.length > 0 || this.#newestCount >= MEMORY_ROWS_MAX;
  }

  #write(): void {
    if (this.#left.length === 0) this.#begin();
    // Some of them may have been written before a crash that kept the end from being noted.
    const insert = this.#db.sql('INSERT OR IGNORE INTO entity_rows VALUES (?, ?, ?)');
    for (let written = 0; written < STEP_ROWS; ) {
      const ref = this.#left.pop();
      if (ref === undefined) break;
      const rows = this.#writing.get(ref) ?? [];
      for (const row of rows) insert.run(this.#tenant, ref, row);
      written += rows.length;
    }
    if (this.#left.length === 0) this.#end();
  }

  #begin(): void {
    this.#writing = this.#newest;
    this.#writingEnd = this.#newestEnd;
    this.#left = [...this.#writing.keys()].sort((a, b) => b - a);
    this.#newest = new Map();
    this.#newestCount = 0;
  }

  #end(): void {
    this.#db.setMeta(this.#key, this.#writingEnd);
    this.#storedEnd = this.#writingEnd;
    this.#writing = new Map();
  }
}
