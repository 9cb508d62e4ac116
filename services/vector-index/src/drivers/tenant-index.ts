import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Cut } from '@memplane/contracts';
import { Bitmap } from '../domain/bitmap.ts';
import { NO_ROW, type TextSource } from '../domain/bm25.ts';
import { readVector } from '../domain/embedding.ts';
import { ExpiryQueue } from '../domain/expiry-queue.ts';
import { fieldEntries } from '../domain/field-entries.ts';
import { LastTurns } from '../domain/last-turns.ts';
import type { MemoryRow } from '../domain/memory-row.ts';
import type {
  FeedLine,
  HistoryStarts,
  RowDetails,
  TenantStatus,
  TenantVectors,
} from '../domain/ports.ts';
import type { PostingList } from '../domain/postings.ts';
import { frequencies, termsOf } from '../domain/text.ts';
import { ChunkChecks } from './chunk-checks.ts';
import type { Database } from './database.ts';
import { EntityPartitions } from './entity-partitions.ts';
import { EntityRows } from './entity-rows.ts';
import { StoredFieldIndex } from './field-index.ts';
import { RowColumns } from './row-columns.ts';
import { TextIndex, type TextIndexOptions } from './text-index.ts';
import { VectorArena } from './vector-arena.ts';
import type { VectorsElsewhere } from './vectors-elsewhere.ts';

export interface TenantIndexOptions {
  readonly dimensions: number;
  /** Whose vectors are taken; absent: all of the right dimensions. */
  readonly model: string | undefined;
  /** Whether texts without a vector get one. */
  readonly computes: boolean;
  readonly stage1_rows_min: number;
  readonly direct_rows_max: number;
  readonly fields_per_row_max: number;
  readonly filter_cache_bytes_max: number;
  readonly cut_cache_entries_max: number;
  readonly entity_cache_entries_max: number;
  readonly text: TextIndexOptions;
  /** Where the vectors are, when they are not here. */
  readonly elsewhere?: VectorsElsewhere;
}

/** The rows that are live at a cut, and the statistics of their texts. */
export interface LiveRows {
  readonly rows: Bitmap;
  readonly rowCount: number;
  readonly texts: number;
  readonly terms: number;
}

/** What a tenant's index is told of the log. */
export interface LogSide {
  /** How many partitions it has, where it has grown since rows came from it; absent: it has not. */
  readonly grownTo: number | undefined;
  /** What is applied of a partition. */
  appliedOf(partition: number): number;
}

/** All rows of one tenant: columns, metadata, texts and vectors. Written in its owner's transaction. */
export class TenantIndex implements TextSource {
  readonly columns: RowColumns;
  readonly vectors: TenantVectors;
  readonly fields: StoredFieldIndex;
  readonly #db: Database;
  readonly #tenant: string;
  readonly #options: TenantIndexOptions;
  readonly #text: TextIndex;
  readonly #entityRows: EntityRows;
  #entityPartitions: EntityPartitions | undefined;
  /** Numbers of the entities that were met last. */
  readonly #entities = new Map<string, number>();
  readonly #lastTurns = new LastTurns();
  readonly #expiring = new Map<number, number>();
  readonly #queue = new ExpiryQueue();
  readonly #cuts = new Map<string, LiveRows>();
  readonly #live = new Bitmap();
  #texts = 0;
  #terms = 0;
  #pending: number;
  #entityCount: number;

  /** @throws MemplaneError `storage_damaged` */
  constructor(
    folder: string,
    db: Database,
    tenant: string,
    options: TenantIndexOptions,
    log: LogSide,
  ) {
    this.#db = db;
    this.#tenant = tenant;
    this.#options = options;
    if (log.grownTo !== undefined) this.grew(log.grownTo);
    const place = join(folder, 'tenants', tenant);
    mkdirSync(place, { recursive: true });
    this.columns = new RowColumns(join(place, 'rows.bin'), {
      count: this.#counter('rows'),
      checks: new ChunkChecks(db, `rows:${tenant}`),
      supersededSum: this.#counter('superseded'),
      appliedOf: (partition) => log.appliedOf(partition),
      partitionOf: (entityRef) => this.#entityPartitions?.of(entityRef),
    });
    this.vectors = this.#openVectors(place);
    this.fields = new StoredFieldIndex(db, tenant, () => this.columns.count, {
      cache_bytes_max: options.filter_cache_bytes_max,
    });
    this.#text = new TextIndex(db, tenant, options.text);
    this.#entityRows = new EntityRows(db, tenant);
    this.#pending = Number(
      db.sql('SELECT count(*) AS n FROM pending WHERE tenant = ?').get(tenant)?.['n'],
    );
    this.#entityCount = this.#counter('entities');
    this.#loadMemory();
  }

  #openVectors(folder: string): TenantVectors {
    const { elsewhere } = this.#options;
    if (elsewhere) {
      const details = (row: number) => this.details(row);
      return elsewhere.tenant({
        folder,
        db: this.#db,
        tenant: this.#tenant,
        columns: this.columns,
        details,
      });
    }
    const checks = new ChunkChecks(this.#db, `codes:${this.#tenant}`);
    return new VectorArena({ folder, ...this.#options }, this.#counter('vectors'), checks);
  }

  /** Entities may be in other partitions than their rows came in. @param partitions of the log */
  grew(partitions: number): void {
    this.#entityPartitions = new EntityPartitions(this.#db, this.#tenant, partitions);
    this.#cuts.clear();
  }

  /** Adds a row. The views have applied its event, so that no other row has its id and is shown. */
  add(line: FeedLine, memory: MemoryRow): void {
    const ref = this.#refOf(memory.entity);
    const isTurn = memory.kind === 'turn';
    const counts = frequencies(memory.text === undefined ? [] : termsOf(memory.text));
    let textLength = 0;
    for (const count of counts.values()) textLength += count;
    const row = this.columns.add({
      partition: line.partition,
      kind: memory.kind,
      textLength,
      previousTurn: isTurn ? this.#lastTurns.of(ref) : NO_ROW,
      entityRef: ref,
      offset: line.offset,
    });
    if (isTurn) this.#lastTurns.set(ref, row);
    this.#insert(line, memory, row, ref);
    if (!isTurn) this.#supersede(ref, memory.memoryId, row, line.offset);
    this.#text.add(row, counts);
    if (memory.metadata) {
      this.fields.add(row, fieldEntries(memory.metadata, this.#options.fields_per_row_max));
    }
    if (memory.kind !== 'forgotten') this.#addLive(row, memory);
  }

  /** Adds a vector that was computed for a row. */
  addComputed(row: number, vector: Float32Array): void {
    this.vectors.add(row, vector, true);
    this.#dropPending(row);
  }

  /** Gives up on a row's vector, e.g. for a text that the model refuses. */
  #dropPending(row: number): void {
    this.#db.sql('DELETE FROM pending WHERE tenant = ? AND row = ?').run(this.#tenant, row);
    this.#pending--;
  }

  /** They are to get no vector any more. */
  dropPending(rows: readonly number[]): void {
    const isPending = this.#db.sql('SELECT 1 AS n FROM pending WHERE tenant = ? AND row = ?');
    for (const row of rows) if (isPending.get(this.#tenant, row)) this.#dropPending(row);
  }

  /** Rows that wait for their vector, oldest first. */
  pendingRows(max: number): { row: number; text: string }[] {
    return this.#db
      .sql(`SELECT p.row AS row, r.text AS text FROM pending p JOIN rows r
            ON r.tenant = p.tenant AND r.row = p.row WHERE p.tenant = ? ORDER BY p.row LIMIT ?`)
      .all(this.#tenant, max)
      .map((found) => ({ row: Number(found['row']), text: String(found['text']) }));
  }

  /** Writes what the transaction has to cover. Called before its commit. */
  flush(): void {
    if (this.#text.full) this.#text.flush(this.columns.count);
    this.columns.flush();
    this.vectors.flush();
    this.#setCounter('rows', this.columns.count);
    this.#setCounter('superseded', this.columns.supersededSum);
    this.#setCounter('vectors', this.vectors.count);
    this.#setCounter('entities', this.#entityCount);
  }

  /** A step of the background work; false when there is none. */
  maintain(): boolean {
    return this.#entityRows.step() || this.#text.mergeStep();
  }

  sync(): void {
    this.columns.sync();
    this.vectors.sync();
  }

  close(): void {
    this.columns.close();
    this.vectors.close();
  }

  status(): TenantStatus {
    return { rows: this.columns.count, vectors: this.vectors.count, vectorsPending: this.#pending };
  }

  /**
   * The rows live at a cut: begun at or before it, superseded after it, not expired at `timeMs`.
   * @param latest the cut is all that is applied, and the time is now
   */
  liveAt(cut: Cut, timeMs: number, latest: boolean): LiveRows {
    if (latest) {
      for (const row of this.#queue.due(timeMs)) this.#removeLive(row);
      const rowCount = this.columns.count;
      return { rows: this.#live.clone(), rowCount, texts: this.#texts, terms: this.#terms };
    }
    const key = `${timeMs} ${JSON.stringify([...cut.offsets].sort((a, b) => a[0] - b[0]))}`;
    const known = this.#cuts.get(key);
    const live = known ?? this.#compute(cut, timeMs);
    this.#cuts.delete(key);
    this.#cuts.set(key, live);
    const [oldest] = this.#cuts.keys();
    if (this.#cuts.size > this.#options.cut_cache_entries_max && oldest !== undefined) {
      this.#cuts.delete(oldest);
    }
    return { ...live, rows: live.rows.clone() };
  }

  /** Rows that no cut can show any more: they ended before the history begins. */
  endedBefore(starts: HistoryStarts): number {
    const { columns } = this;
    let ended = 0;
    for (let row = 0; row < columns.count; row++) {
      const start = starts.get(columns.partition(row)) ?? 0;
      // A turn is shown for as long as its event is kept; a mark is of no use without what it ended.
      const isOfItsTime = columns.kind(row) !== 'memory' && columns.offset(row) < start;
      if (isOfItsTime || columns.supersededAt(row) < start) ended++;
    }
    return ended;
  }

  /** All rows of an entity, of whatever time. */
  entityRows(entity: string): Bitmap {
    const ref = this.#storedRef(entity);
    return ref === undefined ? Bitmap.of([]) : this.#entityRows.of(ref);
  }

  details(row: number): RowDetails {
    const found = this.#db
      .sql(`SELECT entity, memory_id, event_id, text, metadata FROM rows
            WHERE tenant = ? AND row = ?`)
      .get(this.#tenant, row);
    return {
      entity: String(found?.['entity']),
      memoryId: String(found?.['memory_id']),
      eventId: String(found?.['event_id']),
      offset: this.columns.offset(row),
      turn: this.columns.kind(row) === 'turn',
      text: (found?.['text'] ?? undefined) as string | undefined,
      metadata: (found?.['metadata'] ?? undefined) as string | undefined,
    };
  }

  postings(term: string, list: PostingList): void {
    this.#text.postings(term, list);
  }

  length(row: number): number {
    return this.columns.textLength(row);
  }

  previousTurn(row: number): number {
    return this.columns.previousTurn(row);
  }

  #insert(line: FeedLine, memory: MemoryRow, row: number, ref: number): void {
    const { metadata } = memory;
    this.#db
      .sql('INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)')
      .run(
        this.#tenant,
        row,
        memory.entity,
        memory.memoryId,
        memory.eventId,
        line.epoch,
        memory.expiresMs ?? null,
        memory.text ?? null,
        metadata === undefined ? null : JSON.stringify(metadata),
      );
    this.#entityRows.add(ref, row);
  }

  #supersede(ref: number, memoryId: string, row: number, offset: number): void {
    const current = this.#db
      .sql('SELECT row FROM current WHERE tenant = ? AND entity_ref = ? AND memory_id = ?')
      .get(this.#tenant, ref, memoryId);
    if (current) {
      const old = Number(current['row']);
      this.columns.supersede(old, offset);
      this.#removeLive(old);
    }
    this.#db
      .sql('INSERT OR REPLACE INTO current VALUES (?, ?, ?, ?)')
      .run(this.#tenant, ref, memoryId, row);
  }

  #addLive(row: number, memory: MemoryRow): void {
    this.#live.add(row);
    this.#count(row, 1);
    if (memory.expiresMs !== undefined) {
      this.#expiring.set(row, memory.expiresMs);
      this.#queue.add(row, memory.expiresMs);
    }
    const { embedding, text } = memory;
    const { model, dimensions, computes } = this.#options;
    if (embedding && (model === undefined || embedding.model === model)) {
      const vector = readVector(embedding.values, dimensions);
      if (typeof vector !== 'string') {
        this.vectors.add(row, vector);
        return;
      }
    }
    if (!computes || text === undefined || text === '') return;
    this.#db.sql('INSERT INTO pending VALUES (?, ?)').run(this.#tenant, row);
    this.#pending++;
  }

  #removeLive(row: number): void {
    if (!this.#live.has(row)) return;
    this.#live.remove(row);
    this.#count(row, -1);
  }

  #count(row: number, by: 1 | -1): void {
    const length = this.columns.textLength(row);
    if (length === 0) return;
    this.#texts += by;
    this.#terms += by * length;
  }

  #compute(cut: Cut, timeMs: number): LiveRows {
    const { columns } = this;
    const limits: number[] = [];
    for (const [partition, offset] of cut.offsets) limits[partition] = offset;
    const rows = new Bitmap(columns.count);
    let texts = 0;
    let terms = 0;
    for (let row = 0; row < columns.count; row++) {
      const limit = limits[columns.partition(row)] ?? -1;
      if (columns.offset(row) > limit || columns.supersededAt(row) <= limit) continue;
      if (columns.kind(row) === 'forgotten') continue;
      if ((this.#expiring.get(row) ?? Number.POSITIVE_INFINITY) < timeMs) continue;
      rows.add(row);
      const length = columns.textLength(row);
      if (length === 0) continue;
      texts++;
      terms += length;
    }
    return { rows, rowCount: columns.count, texts, terms };
  }

  #refOf(entity: string): number {
    const known = this.#entities.get(entity);
    // Deleted and added: who was met last is last.
    if (known !== undefined) this.#entities.delete(entity);
    const ref = known ?? this.#storedRef(entity) ?? this.#newEntity(entity);
    this.#entities.set(entity, ref);
    const [oldest] = this.#entities.keys();
    if (this.#entities.size > this.#options.entity_cache_entries_max && oldest !== undefined) {
      this.#entities.delete(oldest);
    }
    return ref;
  }

  #storedRef(entity: string): number | undefined {
    const found = this.#db
      .sql('SELECT ref FROM entities WHERE tenant = ? AND entity = ?')
      .get(this.#tenant, entity);
    return found && Number(found['ref']);
  }

  #newEntity(entity: string): number {
    const ref = this.#entityCount++;
    this.#db.sql('INSERT INTO entities VALUES (?, ?, ?)').run(this.#tenant, entity, ref);
    return ref;
  }

  /** What is kept in memory alone: live rows, last turns, times of expiry, and the newest texts. */
  #loadMemory(): void {
    const expiring = this.#db
      .sql(`SELECT row, expires_ms FROM rows INDEXED BY rows_expiring
            WHERE tenant = ? AND expires_ms IS NOT NULL`)
      .all(this.#tenant);
    for (const found of expiring) {
      this.#expiring.set(Number(found['row']), Number(found['expires_ms']));
      this.#queue.add(Number(found['row']), Number(found['expires_ms']));
    }
    for (let row = 0; row < this.columns.count; row++) {
      const kind = this.columns.kind(row);
      if (kind === 'turn') this.#lastTurns.set(this.columns.entityRef(row), row);
      if (kind === 'forgotten') continue;
      if (this.columns.supersededAt(row) !== Number.POSITIVE_INFINITY) continue;
      this.#live.add(row);
      this.#count(row, 1);
    }
    for (let row = this.#entityRows.storedEnd; row < this.columns.count; row++) {
      this.#entityRows.add(this.columns.entityRef(row), row);
    }
    const texts = this.#db
      .sql('SELECT row, text FROM rows WHERE tenant = ? AND row >= ? AND text IS NOT NULL')
      .iterate(this.#tenant, this.#text.segmentRowsEnd);
    for (const found of texts) {
      this.#text.add(Number(found['row']), frequencies(termsOf(String(found['text']))));
    }
  }

  #counter(name: string): number {
    return Number(this.#db.meta(`${name}:${this.#tenant}`) ?? 0);
  }

  #setCounter(name: string, value: number): void {
    this.#db.setMeta(`${name}:${this.#tenant}`, value);
  }
}
