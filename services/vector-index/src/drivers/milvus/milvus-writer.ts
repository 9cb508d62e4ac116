import type { Database } from '../database.ts';
import type { MilvusLink, StoredPosition } from './link.ts';
import type { MilvusTenant } from './milvus-tenant.ts';

export interface WriterOptions {
  /** Who writes: the name of this instance. */
  readonly instance: string;
  /** Rows of one call; fewer wait for others, until their flush is due. */
  readonly write_rows_max: number;
  /** Rows written before they are flushed. */
  readonly flush_rows_max: number;
  /** Longest that a row waits for its flush. */
  readonly flushIntervalMs: number;
  /** Rows that are not stored for certain; more have to wait. */
  readonly unsettled_rows_max: number;
  /** How long a partition's rows wait for the instance that was given it, before any writes them. */
  readonly takeoverMs: number;
  /** How often others' progress is looked at. */
  readonly positionsPollMs: number;
}

interface WaitingRow {
  readonly tenant: MilvusTenant;
  readonly row: number;
}

/**
 * Stores the vectors of a generation: rows in batches, a flush, then how far each partition is
 * stored, in this order. No search finds a row sooner by its being written before its flush is due,
 * and Milvus pays for each call, so rows gather. Every write may be repeated, by whichever instance: a
 * row is the same wherever it comes from. A row is settled once all of it is stored and found by
 * searches.
 */
export class MilvusWriter {
  readonly #options: WriterOptions;
  readonly #tenants: ReadonlyMap<string, MilvusTenant>;
  readonly #onSettled: () => void;
  readonly #mine = new Set<number>();
  readonly #arrivedMs = new Map<number, number>();
  readonly #settled = new Map<number, number>();
  readonly #written = new Map<string, Set<number>>();
  /** Since when rows gather that the next flush is for. */
  #gatheringSinceMs: number | undefined;
  #polledMs = 0;
  #collection = '';
  #db: Database | undefined;
  #appliedOf: (partition: number) => number = () => -1;

  constructor(
    options: WriterOptions,
    tenants: ReadonlyMap<string, MilvusTenant>,
    onSettled: () => void,
  ) {
    this.#options = options;
    this.#tenants = tenants;
    this.#onSettled = onSettled;
  }

  /** Reads from the database how far each partition was settled. */
  attach(db: Database): void {
    if (this.#db === db) return;
    this.#db = db;
    this.#settled.clear();
    const found = db.sql(`SELECT substr(key, 9) AS p, value FROM meta WHERE key GLOB 'settled:*'`);
    for (const { p, value } of found.all()) this.#settled.set(Number(p), Number(value));
  }

  begin(collection: string, db: Database, appliedOf: (partition: number) => number): void {
    this.attach(db);
    this.#collection = collection;
    this.#appliedOf = appliedOf;
  }

  forget(): void {
    this.interrupted();
    this.#db = undefined;
    this.#settled.clear();
  }

  /** The connection was lost: what was written and not flushed is written again. */
  interrupted(): void {
    this.#written.clear();
    this.#gatheringSinceMs = undefined;
    this.#polledMs = 0;
  }

  claim(partition: number): void {
    this.#mine.add(partition);
  }

  arrived(partition: number): void {
    if (!this.#arrivedMs.has(partition)) this.#arrivedMs.set(partition, performance.now());
  }

  settledOf(partition: number): number {
    return this.#settled.get(partition) ?? -1;
  }

  /** Takes up what is stored at the start of a connection; how many rows it turned out to lack. */
  compare(positions: ReadonlyMap<number, StoredPosition>): number {
    let again = 0;
    for (const [partition, known] of [...this.#settled]) {
      if ((positions.get(partition)?.offset ?? -1) >= known) continue;
      this.#transaction((db) => {
        for (const tenant of this.#tenants.values()) {
          const before = tenant.unsettled;
          tenant.unsettle(partition);
          again += tenant.unsettled - before;
        }
        db.sql('DELETE FROM meta WHERE key = ?').run(`settled:${partition}`);
      });
      this.#settled.delete(partition);
    }
    this.#settleAll(positions);
    return again;
  }

  /** A batch, a flush or a look at others' progress; false when there was nothing to do. */
  async step(link: MilvusLink): Promise<boolean> {
    const waiting = this.#waitingPartitions();
    if (waiting.size === 0) {
      this.#gatheringSinceMs = undefined;
      return false;
    }
    const mine = new Set([...waiting].filter((partition) => this.#isMine(partition)));
    const wrote = await this.#write(link, mine);
    const flushed = this.#isFlushDue && (await this.#flush(link));
    const looked = mine.size < waiting.size && (await this.#look(link));
    return wrote > 0 || flushed || looked;
  }

  #isMine(partition: number): boolean {
    if (this.#mine.has(partition)) return true;
    const arrived = this.#arrivedMs.get(partition);
    const { takeoverMs } = this.#options;
    if (arrived !== undefined && performance.now() - arrived < takeoverMs) return false;
    this.#mine.add(partition);
    return true;
  }

  /** @returns how many rows it wrote */
  async #write(link: MilvusLink, mine: ReadonlySet<number>): Promise<number> {
    const batch = this.#gathered(mine);
    if (batch.length === 0) return 0;
    this.#gatheringSinceMs ??= performance.now();
    if (batch.length < this.#options.write_rows_max && !this.#isDue) return 0;
    await link.upsert(
      this.#collection,
      batch.map(({ tenant, row }) => tenant.stored(row)),
    );
    for (const { tenant, row } of batch) {
      // Dropped from memory meanwhile: another object has these rows now.
      if (this.#tenants.get(tenant.tenant) === tenant) this.#writtenOf(tenant.tenant).add(row);
    }
    return batch.length;
  }

  /** Rows of one call. */
  #gathered(mine: ReadonlySet<number>): WaitingRow[] {
    const { write_rows_max } = this.#options;
    const batch: WaitingRow[] = [];
    for (const tenant of this.#tenants.values()) {
      const left = write_rows_max - batch.length;
      if (left <= 0) break;
      for (const row of tenant.waiting(mine, left, this.#writtenOf(tenant.tenant))) {
        batch.push({ tenant, row });
      }
    }
    return batch;
  }

  get #isDue(): boolean {
    const sinceMs = this.#gatheringSinceMs ?? Number.POSITIVE_INFINITY;
    return performance.now() - sinceMs >= this.#options.flushIntervalMs;
  }

  get #isFlushDue(): boolean {
    const count = this.#writtenCount;
    return count >= this.#options.flush_rows_max || (count > 0 && this.#isDue);
  }

  async #flush(link: MilvusLink): Promise<true> {
    const db = this.#db;
    const batch = new Map([...this.#written].map(([tenant, rows]) => [tenant, new Set(rows)]));
    const partitions = new Set<number>();
    for (const [name, rows] of batch) {
      const tenant = this.#tenants.get(name);
      for (const row of rows) if (tenant) partitions.add(tenant.partitionOf(row));
    }
    const applied = new Map([...partitions].map((p) => [p, this.#appliedOf(p)]));
    await link.flush(this.#collection);
    await link.makeSearchable(this.#collection);
    // All was dropped from memory meanwhile: it is compared with what is stored when it is back.
    if (this.#db !== db) return true;
    this.#transaction(() => {
      for (const [name, rows] of batch) this.#tenants.get(name)?.settle(rows);
    });
    for (const [name, rows] of batch) {
      const written = this.#writtenOf(name);
      for (const row of rows) written.delete(row);
    }
    this.#gatheringSinceMs = undefined;
    const stored = this.#storedUpTo(applied);
    await link.setPositions(this.#collection, this.#options.instance, stored);
    if (this.#db === db) this.#settle(stored);
    return true;
  }

  /** How far each partition is stored without a gap, by what the database knows of its rows. */
  #storedUpTo(applied: ReadonlyMap<number, number>): Map<number, number> {
    const stored = new Map<number, number>();
    for (const [partition, end] of applied) {
      const found = this.#db
        ?.sql(`SELECT min(offset) AS first FROM vector_rows
               WHERE state = 0 AND partition = ? AND offset <= ?`)
        .get(partition, end);
      const first = found?.['first'];
      const offset = typeof first === 'number' ? first - 1 : end;
      if (offset > this.settledOf(partition)) stored.set(partition, offset);
    }
    return stored;
  }

  /** Looks how far others have stored the partitions that are theirs. */
  async #look(link: MilvusLink): Promise<boolean> {
    if (performance.now() - this.#polledMs < this.#options.positionsPollMs) return false;
    this.#polledMs = performance.now();
    const positions = await link.positions(this.#collection);
    let isNew = false;
    for (const [partition, { offset }] of positions) {
      isNew ||= offset > this.settledOf(partition);
    }
    if (!isNew) return false;
    await link.makeSearchable(this.#collection);
    this.#settleAll(positions);
    return true;
  }

  #settleAll(positions: ReadonlyMap<number, StoredPosition>): void {
    const { instance } = this.#options;
    for (const [partition, { offset, writer }] of positions) {
      if (writer !== instance && offset > this.settledOf(partition)) this.#mine.delete(partition);
    }
    this.#settle(new Map([...positions].map(([partition, { offset }]) => [partition, offset])));
  }

  #settle(stored: ReadonlyMap<number, number>): void {
    const news = [...stored].filter(([partition, offset]) => offset > this.settledOf(partition));
    this.#transaction((db) => {
      for (const [partition, offset] of news) {
        for (const tenant of this.#tenants.values()) tenant.settleUpTo(partition, offset);
        db.setMeta(`settled:${partition}`, offset);
      }
    });
    for (const [partition, offset] of news) this.#settled.set(partition, offset);
    const waiting = this.#waitingPartitions();
    for (const partition of [...this.#arrivedMs.keys()]) {
      this.#arrivedMs.delete(partition);
      if (waiting.has(partition)) this.#arrivedMs.set(partition, performance.now());
    }
    this.#onSettled();
  }

  #transaction(work: (db: Database) => void): void {
    const db = this.#db;
    if (db) db.transaction(() => work(db));
  }

  #waitingPartitions(): Set<number> {
    const all = new Set<number>();
    for (const tenant of this.#tenants.values()) {
      for (const partition of tenant.waitingPartitions()) all.add(partition);
    }
    return all;
  }

  #writtenOf(tenant: string): Set<number> {
    const known = this.#written.get(tenant);
    if (known) return known;
    const rows = new Set<number>();
    this.#written.set(tenant, rows);
    return rows;
  }

  get #writtenCount(): number {
    let sum = 0;
    for (const rows of this.#written.values()) sum += rows.size;
    return sum;
  }
}
