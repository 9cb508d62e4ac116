import { Bitmap } from '../domain/bitmap.ts';
import type { Database } from './database.ts';

/** Rows that are kept in memory before they are written together. */
const MEMORY_ROWS_MAX = 4_096;

/**
 * Which rows each entity has. The newest are in memory, and are written many at a time in the order of
 * their entities: one by one, each would change another page of the database. At a start they are
 * told again, from {@link storedEnd} on.
 */
export class EntityRows {
  readonly #db: Database;
  readonly #tenant: string;
  #newest = new Map<number, number[]>();
  #newestCount = 0;
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

  /** Rows come in rising order. */
  add(ref: number, row: number): void {
    const rows = this.#newest.get(ref);
    if (rows) rows.push(row);
    else this.#newest.set(ref, [row]);
    this.#newestCount++;
  }

  of(ref: number): Bitmap {
    const found = this.#db
      .sql(`SELECT json_group_array(row) AS list FROM entity_rows
            WHERE tenant = ? AND entity_ref = ?`)
      .get(this.#tenant, ref);
    const stored = JSON.parse(String(found?.['list'] ?? '[]')) as number[];
    return Bitmap.of(stored.concat(this.#newest.get(ref) ?? []));
  }

  /** Within a transaction of the caller: writes the newest, where they are enough. */
  flush(rowsEnd: number): void {
    if (this.#newestCount < MEMORY_ROWS_MAX) return;
    const insert = this.#db.sql('INSERT INTO entity_rows VALUES (?, ?, ?)');
    for (const ref of [...this.#newest.keys()].sort((a, b) => a - b)) {
      for (const row of this.#newest.get(ref) ?? []) insert.run(this.#tenant, ref, row);
    }
    this.#db.setMeta(this.#key, rowsEnd);
    this.#storedEnd = rowsEnd;
    this.#newest = new Map();
    this.#newestCount = 0;
  }
}
