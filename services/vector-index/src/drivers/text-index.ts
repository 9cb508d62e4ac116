import { decodePostings, encodePostings, type PostingList } from '../domain/postings.ts';
import type { Database } from './database.ts';

export interface TextIndexOptions {
  /** Rows whose postings are only in memory; at a start they are read from their texts again. */
  readonly memtable_rows_max: number;
  /** Segments of one size before they are merged into one of the next. */
  readonly segments_per_level_max: number;
  /** Terms that one step of a merge handles, so that a merge never holds up a search for long. */
  readonly merge_terms_max: number;
}

interface Segment {
  readonly segment: number;
  readonly level: number;
  /** All its rows are below this one. */
  readonly rowsEnd: number;
}

interface Merge {
  readonly inputs: readonly Segment[];
  readonly output: Segment;
  after: string;
}

/**
 * An inverted index as a log-structured merge: the newest rows in memory, older ones in immutable
 * segments within the database, merged by size. Writes are sequential, a look-up is one read per
 * segment, and memory is bounded. Deletions are not its affair: readers filter rows.
 */
export class TextIndex {
  readonly #db: Database;
  readonly #tenant: string;
  readonly #options: TextIndexOptions;
  #segments: Segment[];
  #memtable = new Map<string, number[]>();
  #memtableRows = 0;
  #merge: Merge | undefined;

  constructor(db: Database, tenant: string, options: TextIndexOptions) {
    this.#db = db;
    this.#tenant = tenant;
    this.#options = options;
    this.#segments = this.#db
      .sql('SELECT segment, level, rows_end FROM segments WHERE tenant = ? ORDER BY rows_end')
      .all(tenant)
      .map((row) => ({
        segment: Number(row['segment']),
        level: Number(row['level']),
        rowsEnd: Number(row['rows_end']),
      }));
    this.#dropLeftovers();
  }

  /** Rows from here on are not in a segment: the caller adds them again at a start. */
  get segmentRowsEnd(): number {
    return this.#segments.at(-1)?.rowsEnd ?? 0;
  }

  /** Adds the terms of a row; rows come in rising order. */
  add(row: number, frequencies: ReadonlyMap<string, number>): void {
    if (frequencies.size === 0) return;
    for (const [term, frequency] of frequencies) {
      const pairs = this.#memtable.get(term);
      if (pairs) pairs.push(row, frequency);
      else this.#memtable.set(term, [row, frequency]);
    }
    this.#memtableRows++;
  }

  get full(): boolean {
    return this.#memtableRows >= this.#options.memtable_rows_max;
  }

  /** Within a transaction of the caller: turns the memory part into a segment. */
  flush(rowsEnd: number): void {
    if (this.#memtableRows === 0) return;
    const segment = this.#nextSegment();
    this.#write({ segment, level: 0, rowsEnd }, (insert) => {
      for (const term of [...this.#memtable.keys()].sort()) {
        const pairs = this.#memtable.get(term) ?? [];
        insert(term, pairs.length / 2, encodePostings(pairs));
      }
    });
    this.#register({ segment, level: 0, rowsEnd });
    this.clearMemory();
  }

  clearMemory(): void {
    this.#memtable = new Map();
    this.#memtableRows = 0;
  }

  postings(term: string, list: PostingList): void {
    const read = this.#db.sql(
      'SELECT bytes FROM postings WHERE tenant = ? AND segment = ? AND term = ?',
    );
    for (const { segment } of this.#segments) {
      const found = read.get(this.#tenant, segment, term);
      if (found) decodePostings(found['bytes'] as Uint8Array, list);
    }
    const pairs = this.#memtable.get(term) ?? [];
    for (let i = 0; i + 1 < pairs.length; i += 2) list.add(pairs[i] ?? 0, pairs[i + 1] ?? 0);
  }

  /** One bounded step of merging, in a transaction of its own; false when there is nothing to do. */
  mergeStep(): boolean {
    this.#merge ??= this.#chooseMerge();
    const merge = this.#merge;
    if (!merge) return false;
    this.#db.transaction(() => this.#step(merge));
    return true;
  }

  #step(merge: Merge): void {
    const max = this.#options.merge_terms_max;
    const read = this.#db.sql(
      `SELECT term, rows, bytes FROM postings WHERE tenant = ? AND segment = ? AND term > ?
       ORDER BY term LIMIT ${max}`,
    );
    const batches = merge.inputs.map((input) => {
      const found = read.all(this.#tenant, input.segment, merge.after);
      return { found, last: found.length < max ? undefined : String(found.at(-1)?.['term']) };
    });
    // Only terms up to the first end of a batch are complete.
    const ends = batches.flatMap((batch) => (batch.last === undefined ? [] : [batch.last]));
    const end = ends.length === 0 ? undefined : ends.reduce((a, b) => (utf8Less(a, b) ? a : b));
    const joined = new Map<string, { rows: number; parts: Uint8Array[] }>();
    for (const { found } of batches) {
      for (const row of found) {
        const term = String(row['term']);
        if (end !== undefined && utf8Less(end, term)) break;
        const entry = joined.get(term) ?? { rows: 0, parts: [] };
        entry.rows += Number(row['rows']);
        entry.parts.push(row['bytes'] as Uint8Array);
        joined.set(term, entry);
      }
    }
    this.#write(merge.output, (insert) => {
      for (const [term, { rows, parts }] of joined) insert(term, rows, Buffer.concat(parts));
    });
    if (end !== undefined) {
      merge.after = end;
      return;
    }
    this.#finish(merge);
  }

  #finish(merge: Merge): void {
    const drop = this.#db.sql('DELETE FROM segments WHERE tenant = ? AND segment = ?');
    const dropPostings = this.#db.sql('DELETE FROM postings WHERE tenant = ? AND segment = ?');
    for (const { segment } of merge.inputs) {
      drop.run(this.#tenant, segment);
      dropPostings.run(this.#tenant, segment);
    }
    this.#segments = this.#segments.filter((segment) => !merge.inputs.includes(segment));
    this.#register(merge.output);
    this.#merge = undefined;
  }

  #chooseMerge(): Merge | undefined {
    const max = this.#options.segments_per_level_max;
    for (const { level } of this.#segments) {
      const inputs = this.#segments.filter((segment) => segment.level === level).slice(0, max);
      const last = inputs.at(-1);
      if (inputs.length < max || !last) continue;
      const output = { segment: this.#nextSegment(), level: level + 1, rowsEnd: last.rowsEnd };
      return { inputs, output, after: '' };
    }
    return undefined;
  }

  #write(
    segment: Segment,
    fill: (insert: (term: string, rows: number, bytes: Uint8Array) => void) => void,
  ): void {
    const statement = this.#db.sql('INSERT INTO postings VALUES (?, ?, ?, ?, ?)');
    fill((term, rows, bytes) => {
      statement.run(this.#tenant, segment.segment, term, rows, bytes);
    });
  }

  #register(segment: Segment): void {
    this.#db
      .sql('INSERT INTO segments VALUES (?, ?, ?, ?)')
      .run(this.#tenant, segment.segment, segment.level, segment.rowsEnd);
    this.#segments.push(segment);
    this.#segments.sort((a, b) => a.rowsEnd - b.rowsEnd);
  }

  /** Numbers are never used twice, also not those of a merge that a crash cut off. */
  #nextSegment(): number {
    const key = `segment:${this.#tenant}`;
    const next = Number(this.#db.meta(key) ?? 0) + 1;
    this.#db.setMeta(key, next);
    return next;
  }

  #dropLeftovers(): void {
    const known = new Set(this.#segments.map((segment) => segment.segment));
    const found = this.#db
      .sql(
        `WITH RECURSIVE s(n) AS (
           SELECT min(segment) FROM postings WHERE tenant = ?1
           UNION ALL
           SELECT (SELECT min(segment) FROM postings WHERE tenant = ?1 AND segment > n) FROM s
           WHERE n IS NOT NULL)
         SELECT n FROM s WHERE n IS NOT NULL`,
      )
      .all(this.#tenant);
    for (const row of found) {
      if (known.has(Number(row['n']))) continue;
      this.#db
        .sql('DELETE FROM postings WHERE tenant = ? AND segment = ?')
        .run(this.#tenant, Number(row['n']));
    }
  }
}

/** The database's order of texts: by their UTF-8 bytes. */
function utf8Less(a: string, b: string): boolean {
  return Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0;
}
