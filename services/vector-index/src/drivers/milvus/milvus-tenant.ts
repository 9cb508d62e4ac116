import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { type Json, type MemplaneError, partitionKey } from '@memplane/contracts';
import type { RowData } from '@zilliz/milvus2-sdk-node';
import { Bitmap } from '../../domain/bitmap.ts';
import { byScore, type Ranked } from '../../domain/fusion.ts';
import type {
  NearestAhead,
  NearestAsked,
  NearestScope,
  NearRow,
  TenantVectors,
} from '../../domain/ports.ts';
import type { TenantParts } from '../vectors-elsewhere.ts';
import { ExactVectors } from './exact-vectors.ts';
import { narrowing, tagsOf } from './expression.ts';
import { METADATA_BYTES_MAX, positionKey, TEXT_BYTES_MAX } from './schema.ts';
import type { VectorCache } from './vector-cache.ts';

export interface NearbyOptions {
  /** Where no more rows match than this, each is scored exactly and Milvus is not asked. */
  readonly direct_rows_max: number;
  /** Where no more match, each is scored exactly when Milvus can't be asked or finds too few. */
  readonly fallback_rows_max: number;
  /** Candidates of Milvus' that are ranked exactly, at least. */
  readonly rerank_rows_min: number;
  /** Most rows that Milvus is asked for at once. */
  readonly search_rows_max: number;
  /** Most rows beside what a search begun ahead can find; with more, Milvus is asked once more. */
  readonly unsettled_rows_max: number;
}

/** What a tenant asks of the collection that its vectors are in. */
export interface Collection {
  readonly options: NearbyOptions;
  readonly dimensions: number;
  readonly cache: VectorCache;
  /** Rows of the partition up to this offset are stored for certain. */
  settledOf(partition: number): number;
  /** From asking it on, after which an answer of Milvus' is late. */
  readonly lateAfterMs: number;
  search(vector: Float32Array, limit: number, expression: string): Promise<NearRow[]>;
  /** A row has come that is not stored yet. */
  arrived(partition: number): void;
}

const STATES = { unsettled: 0, settled: 1, computed: 2 } as const;
const SLICE_ROWS = 512;
/** How many more candidates are asked for than are ranked: superseded ones are among them. */
const MORE = 2;

/** A tenant's vectors: exact ones here, by row; an index over all that is settled in Milvus. */
export class MilvusTenant implements TenantVectors {
  readonly tenant: string;
  readonly #parts: TenantParts;
  readonly #collection: Collection;
  readonly #exact: ExactVectors;
  readonly #rows = new Map<number, number>();
  readonly #known = new Bitmap();
  readonly #open = new Bitmap();
  readonly #unsettled = new Set<number>();
  readonly #computed = new Set<number>();

  /** @throws MemplaneError `storage_damaged` */
  constructor(parts: TenantParts, collection: Collection) {
    this.tenant = parts.tenant;
    this.#parts = parts;
    this.#collection = collection;
    parts.db
      .sql(`CREATE TABLE IF NOT EXISTS vector_rows (
        tenant TEXT NOT NULL, row INTEGER NOT NULL, partition INTEGER NOT NULL,
        offset INTEGER NOT NULL, state INTEGER NOT NULL,
        PRIMARY KEY (tenant, row)) STRICT, WITHOUT ROWID`)
      .run();
    parts.db
      .sql(`CREATE INDEX IF NOT EXISTS vector_rows_open ON vector_rows (partition, offset)
            WHERE state = 0`)
      .run();
    const { dimensions, cache } = collection;
    this.#exact = new ExactVectors(join(parts.folder, 'exact.bin'), dimensions, cache.file());
    const found = parts.db.sql('SELECT row, state FROM vector_rows WHERE tenant = ?');
    for (const { row, state } of found.iterate(this.tenant)) {
      this.#note(Number(row), Number(state));
    }
  }

  get count(): number {
    return this.#rows.size;
  }

  get damage(): MemplaneError | undefined {
    return this.#exact.damage;
  }

  get unsettled(): number {
    return this.#unsettled.size;
  }

  add(row: number, vector: Float32Array, computed = false): void {
    const { columns, db } = this.#parts;
    const partition = columns.cameIn(row);
    this.#exact.write(row, vector);
    const offset = columns.offset(row);
    const isSettled = offset <= this.#collection.settledOf(partition);
    const state = computed ? STATES.computed : isSettled ? STATES.settled : STATES.unsettled;
    db.sql('INSERT INTO vector_rows VALUES (?, ?, ?, ?, ?)').run(
      this.tenant,
      row,
      partition,
      offset,
      state,
    );
    this.#note(row, state);
    if (state !== STATES.settled) this.#collection.arrived(partition);
  }

  /** Nothing waits to be written. */
  flush(): void {}

  sync(): void {
    this.#exact.sync();
  }

  close(): void {
    this.#exact.close();
  }

  nearest(
    query: Float32Array,
    count: number,
    allowed: Bitmap,
    allowedCount: number,
    rowCount: number,
    before: (a: number, b: number) => number,
    scope: NearestScope,
  ): readonly Ranked[] | Promise<readonly Ranked[]> {
    const rank = (found: Ranked[]) => found.sort(byScore(before)).slice(0, count);
    const rows = this.#known.clone().and(allowed);
    if (allowedCount <= this.#collection.options.direct_rows_max) {
      return rank(Array.from(rows, (row) => this.#score(row, query)));
    }
    return this.#remote(query, count, rows, shareOf(allowedCount, rowCount), scope).then(rank);
  }

  ahead(
    query: Float32Array,
    count: number,
    allowedCount: number,
    rowCount: number,
    scope: NearestScope,
  ): NearestAhead | undefined {
    if (allowedCount <= this.#collection.options.direct_rows_max) return undefined;
    const wanted = this.#wanted(count, allowedCount);
    const findable = this.#known.clone().andNot(this.#open);
    const asked = this.#ask(query, wanted, shareOf(allowedCount, rowCount), scope);
    asked.found.catch(() => {}); // who takes it up is told
    return { ...asked, of: this, findable };
  }

  /** The keys of all its rows. */
  positions(): Iterable<number> {
    return this.#rows.keys();
  }

  has(position: number): boolean {
    return this.#rows.has(position);
  }

  /** Rows that are not stored for certain, oldest first. @param partitions of these alone */
  waiting(partitions: ReadonlySet<number>, max: number, besides: ReadonlySet<number>): number[] {
    const { columns } = this.#parts;
    const rows: number[] = [];
    for (const row of this.#unsettled) {
      if (rows.length >= max) break;
      if (!besides.has(row) && partitions.has(columns.cameIn(row))) rows.push(row);
    }
    return rows;
  }

  /** The partitions of rows that are not stored for certain. */
  waitingPartitions(): Set<number> {
    const partitions = new Set<number>();
    for (const row of this.#unsettled) partitions.add(this.#parts.columns.cameIn(row));
    return partitions;
  }

  /** Rows are stored for certain. Within its caller's transaction. */
  settle(rows: Iterable<number>): void {
    const update = this.#parts.db.sql(
      'UPDATE vector_rows SET state = 1 WHERE tenant = ? AND row = ?',
    );
    for (const row of rows) {
      if (!this.#unsettled.delete(row)) continue;
      this.#computed.delete(row);
      this.#open.remove(row);
      update.run(this.tenant, row);
    }
  }

  /** All rows of a partition up to an offset are, but for those computed here. */
  settleUpTo(partition: number, offset: number): void {
    const { columns } = this.#parts;
    const rows = [...this.#unsettled].filter(
      (row) =>
        columns.cameIn(row) === partition &&
        columns.offset(row) <= offset &&
        !this.#computed.has(row),
    );
    this.settle(rows);
  }

  /** What was stored is no longer there: all rows of the partition are to be stored again. */
  unsettle(partition: number): void {
    const update = this.#parts.db.sql(
      'UPDATE vector_rows SET state = 0 WHERE tenant = ? AND row = ? AND state = 1',
    );
    for (const row of this.#known) {
      if (this.#parts.columns.cameIn(row) !== partition || this.#unsettled.has(row)) continue;
      this.#unsettled.add(row);
      this.#open.add(row);
      update.run(this.tenant, row);
    }
  }

  partitionOf(row: number): number {
    return this.#parts.columns.cameIn(row);
  }

  /** A row as the collection has it. */
  stored(row: number): RowData {
    const { columns } = this.#parts;
    const {
      entity,
      memoryId,
      eventId,
      offset,
      turn: isTurn,
      text,
      metadata,
    } = this.#parts.details(row);
    const partition = columns.cameIn(row);
    const json = metadata !== undefined && Buffer.byteLength(metadata) <= METADATA_BYTES_MAX;
    const fields = metadata === undefined ? {} : (JSON.parse(metadata) as { [key: string]: Json });
    return {
      position: String(positionKey(partition, offset)),
      entity_key: partitionKey(this.tenant, entity),
      tenant: this.tenant,
      memory_id: memoryId,
      event_id: eventId,
      partition: String(partition),
      offset: String(offset),
      turn: isTurn,
      text: shortened(text ?? ''),
      metadata: json ? (fields as RowData) : {},
      tags: tagsOf(fields),
      vector: Array.from(this.#exact.read(row)),
    };
  }

  /**
   * What Milvus finds and what is not settled yet, exactly scored. Where memory has room for all that
   * may be given, all of it is scored once Milvus is late, as it is for some 500 ms in a flush.
   */
  async #remote(
    query: Float32Array,
    count: number,
    rows: Bitmap,
    share: number,
    scope: NearestScope,
  ): Promise<Ranked[]> {
    const { fallback_rows_max } = this.#collection.options;
    const size = rows.count();
    const wanted = this.#wanted(count, size);
    const { ahead, open } = this.#takeUp(scope.ahead, rows);
    let near: readonly number[] | undefined;
    try {
      const asked = ahead ?? this.#ask(query, wanted, share, scope);
      const asking = this.#candidates(query, wanted, rows, open, asked, scope);
      const isAtHand = size <= this.#collection.cache.places;
      near = isAtHand ? await this.#unlessLate(asking, asked) : await asking;
    } catch (error) {
      if (size > fallback_rows_max) throw error;
      return this.#scan(rows, query);
    }
    if (near === undefined) return this.#scan(rows, query);
    const unseen = size - open.count();
    const isShort = near.length < Math.min(wanted, unseen);
    if (isShort && size <= fallback_rows_max) return this.#scan(rows, query);
    const found = near.map((row) => this.#score(row, query));
    return found.concat(await this.#scan(open, query));
  }

  /**
   * A search that was begun ahead, and the rows that are to be looked at one by one beside it: what
   * was not settled when it began, even if it is by now, and what has come since. Without one, or
   * with too many of them, what is not settled now.
   */
  #takeUp(
    ahead: NearestAhead | undefined,
    rows: Bitmap,
  ): { readonly ahead?: NearestAhead; readonly open: Bitmap } {
    const { unsettled_rows_max } = this.#collection.options;
    // Another object had these rows: they were read anew since.
    if (ahead?.of === this) {
      const open = rows.clone().andNot(ahead.findable.clone().andNot(this.#open));
      if (open.count() <= unsettled_rows_max) return { ahead, open };
    }
    return { open: this.#open.clone().and(rows) };
  }

  /** Undefined once an answer is late. What it says then, or fails with, is of no use. */
  async #unlessLate<T>(asking: Promise<T>, { askedMs }: NearestAsked): Promise<T | undefined> {
    const late = Promise.withResolvers<undefined>();
    const leftMs = askedMs + this.#collection.lateAfterMs - performance.now();
    const timer = setTimeout(() => late.resolve(undefined), Math.max(1, leftMs));
    asking.catch(() => {});
    try {
      return await Promise.race([asking, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  #wanted(count: number, size: number): number {
    return Math.min(Math.max(this.#collection.options.rerank_rows_min, 8 * count), size);
  }

  /** @param share of all rows that may be given */
  #ask(query: Float32Array, wanted: number, share: number, scope: NearestScope): NearestAsked {
    const { search_rows_max } = this.#collection.options;
    const expression = expressionOf(this.tenant, scope);
    const more = expression.isNarrowed ? MORE * MORE : MORE / share;
    const limit = Math.min(search_rows_max, Math.ceil(wanted * more));
    const askedMs = performance.now();
    return { limit, askedMs, found: this.#collection.search(query, limit, expression.text) };
  }

  /** Settled rows that may be given, nearest first as far as quantised vectors tell. */
  async #candidates(
    query: Float32Array,
    wanted: number,
    rows: Bitmap,
    open: Bitmap,
    asked: NearestAsked,
    scope: NearestScope,
  ): Promise<number[]> {
    const { search_rows_max } = this.#collection.options;
    const { text } = expressionOf(this.tenant, scope);
    for (let { limit, found: asking } = asked; ; ) {
      const found = await asking;
      const near = new Set<number>();
      for (const { position } of found) {
        const row = this.#rows.get(position);
        if (row !== undefined && rows.has(row) && !open.has(row)) near.add(row);
      }
      const isAll = found.length < limit || limit >= search_rows_max;
      if (near.size >= wanted || isAll) return [...near].slice(0, wanted);
      limit = Math.min(search_rows_max, limit * 4);
      asking = this.#collection.search(query, limit, text);
    }
  }

  /** All of the rows, a slice at a time, so that other work goes on between. */
  async #scan(rows: Bitmap, query: Float32Array): Promise<Ranked[]> {
    const found: Ranked[] = [];
    for (const row of rows) {
      found.push(this.#score(row, query));
      if (found.length % SLICE_ROWS === 0) await turn();
    }
    return found;
  }

  #score(row: number, query: Float32Array): Ranked {
    return { row, score: this.#exact.score(row, query) };
  }

  #note(row: number, state: number): void {
    const { columns } = this.#parts;
    this.#rows.set(positionKey(columns.cameIn(row), columns.offset(row)), row);
    this.#known.add(row);
    if (state === STATES.settled) return;
    this.#unsettled.add(row);
    this.#open.add(row);
    if (state === STATES.computed) this.#computed.add(row);
  }
}

/** The part of all rows that may be given. */
function shareOf(allowedCount: number, rowCount: number): number {
  return Math.max(allowedCount, 1) / Math.max(rowCount, 1);
}

/** What every row passes that may be given. */
function expressionOf(tenant: string, scope: NearestScope): { text: string; isNarrowed: boolean } {
  const own = `tenant == "${tenant}"`;
  const narrowed = narrowing(tenant, scope);
  if (narrowed === undefined) return { text: own, isNarrowed: false };
  return { text: `${own} and ${narrowed}`, isNarrowed: true };
}

/** As much of a text as Milvus takes. */
function shortened(text: string): string {
  if (Buffer.byteLength(text) <= TEXT_BYTES_MAX) return text;
  return Buffer.from(text)
    .subarray(0, TEXT_BYTES_MAX)
    .toString('utf8')
    .replace(/\uFFFD$/u, '');
}
