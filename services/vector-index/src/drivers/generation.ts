import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Cut, MemplaneError } from '@memplane/contracts';
import { homeOf, type Lineage, parentOf } from '@memplane/event-log';
import { memoryRow } from '../domain/memory-row.ts';
import type {
  EventLine,
  FeedLine,
  HistoryStarts,
  LogShape,
  PartitionLines,
  PartitionState,
  RankRequest,
  RecallSnapshot,
  RecallStore,
  TenantStatus,
} from '../domain/ports.ts';
import { rowDigest } from '../domain/row-digest.ts';
import { Database, storageError } from './database.ts';
import { Ranking } from './ranking.ts';
import { TenantIndex, type TenantIndexOptions } from './tenant-index.ts';
import type { VectorsElsewhere, VectorsElsewhereFactory } from './vectors-elsewhere.ts';

export interface GenerationOptions extends Omit<TenantIndexOptions, 'elsewhere'> {
  /** Where the vectors are kept, when not here. */
  readonly vectors?: VectorsElsewhereFactory | undefined;
  readonly database_cache_bytes_max: number;
  /**
   * From the first thing that is applied to the commit that makes it outlive a crash of the process,
   * in milliseconds; searches see it at once. Default 0: with each. Vectors elsewhere have it so.
   */
  readonly commitIntervalMs?: number;
  /** Told of the texts of an entity that is erased, before its erasure counts as applied. */
  readonly onErased?: (texts: readonly string[]) => void;
  /** Told of files that do not fit together: the index begins anew, from the log. */
  readonly onDamaged?: (error: MemplaneError, folder: string) => void;
}

/** One whole index, in a folder of its own: rows, texts and vectors of one model. */
export class Generation implements RecallStore {
  readonly folder: string;
  /** Where the vectors are, when they are not here. */
  readonly elsewhere: VectorsElsewhere | undefined;
  readonly #options: GenerationOptions & TenantIndexOptions;
  #db: Database;
  #damage: MemplaneError | undefined;
  #tenants = new Map<string, TenantIndex>();
  #partitions = new Map<number, PartitionState>();
  readonly applied = new Map<number, number>();
  #lineage: Lineage | undefined;
  /** Told when what was applied since the last commit is lost: it is to be applied again. */
  onWentBack: ((error: unknown) => void) | undefined;
  readonly #commitIntervalMs: number;
  #begunAt = 0;
  /** No commit has succeeded since the last that failed: the next thing shows whether one does. */
  #isInDoubt = false;
  /** What has changed since the last commit. */
  readonly #touched = new Set<TenantIndex>();
  readonly #moved = new Set<number>();

  /**
   * Reads all that memory holds, and checks it against its sums. What is damaged, or was written by
   * another version, is removed: all of it comes back from the log.
   */
  constructor(folder: string, options: GenerationOptions) {
    this.folder = folder;
    this.elsewhere = options.vectors?.(options);
    const { elsewhere } = this;
    this.#options = elsewhere ? { ...options, elsewhere } : options;
    this.#commitIntervalMs = elsewhere ? 0 : (options.commitIntervalMs ?? 0);
    mkdirSync(folder, { recursive: true });
    try {
      this.#db = this.#open();
      try {
        for (const tenant of this.tenants()) this.#tenant(tenant);
      } catch (error) {
        this.#dropMemory();
        this.#db.close();
        throw error;
      }
    } catch (error) {
      const damage = storageError(error);
      if (!(damage instanceof MemplaneError) || damage.code !== 'storage_damaged') throw damage;
      options.onDamaged?.(damage, folder);
      this.#damage = undefined;
      this.#removeFiles();
      this.#db = this.#open();
    }
  }

  /** What was found damaged since the index was opened. */
  get damage(): MemplaneError | undefined {
    if (this.#damage) return this.#damage;
    for (const { vectors } of this.#tenants.values()) if (vectors.damage) return vectors.damage;
    return undefined;
  }

  get model(): string | undefined {
    return this.#options.model;
  }

  get dimensions(): number {
    return this.#options.dimensions;
  }

  /** The log that the rows came from; undefined before the first. */
  get logId(): string | undefined {
    const found = this.#db.meta('log_id');
    return found === undefined ? undefined : String(found);
  }

  setLogId(logId: string): void {
    this.#db.setMeta('log_id', logId);
  }

  /** The log is known: vectors that are kept elsewhere go there from now on. */
  follow(log: LogShape): void {
    const { logId } = log;
    if (this.logId === undefined) this.setLogId(logId);
    this.elsewhere?.start(logId, this.#db, (p) => this.applied.get(p) ?? -1);
    this.grow(log);
  }

  /**
   * Takes on the shape of the log. Where it has grown, what is applied of a partition is applied of
   * those that came out of it too: nothing of the new epoch may have been applied before.
   */
  grow({ epoch, partitions, lineage }: LogShape): void {
    this.#lineage = lineage;
    const known = Math.max(-1, ...[...this.#partitions.values()].map((state) => state.epoch));
    if (known < 0 || known >= epoch) return;
    const before = partitions / 2 ** (epoch - known);
    const shape = { partitionsInitial: before, bases: [] };
    this.#write(() => {
      for (let partition = 0; partition < partitions; partition++) {
        const parent = parentOf(shape, partition);
        const { applied } = this.partition(parent ?? partition);
        this.#setState(partition, { ...this.partition(partition), epoch, applied });
      }
      this.#db.setMeta('grown_to', partitions);
    });
    this.commit();
    for (const index of this.#tenants.values()) index.grew(partitions);
  }

  #setState(partition: number, state: PartitionState): void {
    this.#partitions.set(partition, state);
    this.applied.set(partition, state.applied);
    this.#moved.add(partition);
  }

  room(signal: AbortSignal): Promise<void> | undefined {
    return this.elsewhere?.room(signal);
  }

  partition(partition: number): PartitionState {
    return (
      this.#partitions.get(partition) ?? { epoch: 0, applied: -1, rows: 0, digest: '0'.repeat(16) }
    );
  }

  /** In order. */
  tenants(): readonly string[] {
    const stored = this.#db
      .sql(`SELECT substr(key, 6) AS tenant FROM meta WHERE key GLOB 'rows:*'`)
      .all()
      .map((row) => String(row['tenant']));
    return [...new Set([...stored, ...this.#tenants.keys()])].sort();
  }

  apply(partition: number, lines: readonly FeedLine[]): void {
    this.applyAll([{ partition, lines }]);
  }

  /**
   * Applies records of several partitions, each at most once in the list, as one. They are seen at
   * once, and last from the next commit on: see {@link GenerationOptions.commitIntervalMs}.
   * @throws MemplaneError `storage_unavailable` where they follow on what has been lost since
   */
  applyAll(batches: readonly PartitionLines[]): void {
    for (const { partition, after = -1 } of batches) {
      const { applied } = this.partition(partition);
      if (applied < after) throw wentBack(partition, applied, after);
    }
    this.#write(() => {
      const states = new Map<number, PartitionState>();
      for (const { partition, lines } of batches) this.#applyLines(partition, lines, states);
      for (const [partition, state] of states) this.#setState(partition, state);
    });
  }

  /** Within a transaction. @param states where partitions are after it */
  #applyLines(
    partition: number,
    lines: readonly FeedLine[],
    states: Map<number, PartitionState>,
  ): void {
    const stateOf = (p: number) => states.get(p) ?? this.partition(p);
    const { applied } = stateOf(partition);
    const news = lines.filter((line) => line.offset > applied);
    const last = news.at(-1);
    if (!last) return;
    const added = new Map<number, { rows: number; digest: bigint }>();
    for (const line of news) {
      if (line.applied === false || !hasEvent(line)) continue;
      if (line.event.data.erased !== undefined) this.#erase(line);
      const memory = memoryRow(line.event);
      if (!memory) continue;
      const index = this.#tenant(memory.tenant);
      index.add(line, memory);
      this.#touched.add(index);
      const home = this.#homeOf(line);
      const sum = added.get(home) ?? { rows: 0, digest: 0n };
      added.set(home, sum);
      sum.rows++;
      sum.digest += rowDigest(line, home);
    }
    for (const [home, { rows, digest }] of added) {
      const state = stateOf(home);
      const hex = hexOf(BigInt(`0x${state.digest}`) + digest);
      states.set(home, { ...state, rows: state.rows + rows, digest: hex });
    }
    const { epoch, offset } = last;
    states.set(partition, { ...stateOf(partition), epoch, applied: offset });
  }

  /** Where a record is in the log: its partition may have been split off another one since. */
  #homeOf({ partition, offset }: FeedLine): number {
    return this.#lineage === undefined ? partition : homeOf(this.#lineage, partition, offset);
  }

  /**
   * Nothing of an entity's rows is shown any more, since its view does not. They are noted: what files
   * hold of them only goes with the files, when the index is built anew.
   */
  #erase({ event: { tenant, subject: entity } }: EventLine): void {
    const index = this.#tenant(tenant);
    const rows = [...index.entityRows(entity)];
    if (rows.length === 0) return;
    this.#options.onErased?.(rows.flatMap((row) => index.details(row).text ?? []));
    index.dropPending(rows);
    this.#db.sql('INSERT OR REPLACE INTO erased VALUES (?, ?)').run(tenant, entity);
  }

  /** Whether files hold rows of entities that are erased. */
  get hasErased(): boolean {
    return this.#db.sql('SELECT 1 AS n FROM erased LIMIT 1').get() !== undefined;
  }

  /** Rows of an entity of before an offset of its partition. */
  rowsBefore(tenant: string, entity: string, offset: number): number {
    const index = this.#tenant(tenant);
    return [...index.entityRows(entity)].filter((row) => index.columns.offset(row) < offset).length;
  }

  /** Adds computed vectors; rows that no longer wait are left out. */
  applyComputed(tenant: string, vectors: readonly { row: number; vector: Float32Array }[]): void {
    const index = this.#tenant(tenant);
    this.#write(() => {
      for (const { row, vector } of vectors) index.addComputed(row, vector);
      this.#touched.add(index);
    });
  }

  pendingRows(tenant: string, max: number): { row: number; text: string }[] {
    return this.#tenant(tenant).pendingRows(max);
  }

  snapshot(tenant: string, cut: Cut, timeMs: number, request: RankRequest): RecallSnapshot {
    const index = this.#tenant(tenant);
    const live = index.liveAt(cut, timeMs, false);
    return new Ranking(index, live, request);
  }

  /** Like {@link snapshot} at all that is applied. */
  latest(tenant: string, cut: Cut, nowMs: number, request: RankRequest): RecallSnapshot {
    const index = this.#tenant(tenant);
    return new Ranking(index, index.liveAt(cut, nowMs, true), request);
  }

  status(tenant: string): TenantStatus {
    return this.#tenant(tenant).status();
  }

  /** Of all tenants together. */
  statusOfAll(): TenantStatus {
    const all = { rows: 0, vectors: 0, vectorsPending: 0 };
    for (const index of this.#tenants.values()) {
      const { rows, vectors, vectorsPending } = index.status();
      all.rows += rows;
      all.vectors += vectors;
      all.vectorsPending += vectorsPending;
    }
    return all;
  }

  /** The rows of all tenants, and how many of them ended before the history begins. */
  rowsEndedBefore(starts: HistoryStarts): { readonly rows: number; readonly ended: number } {
    let rows = 0;
    let ended = 0;
    for (const index of this.#tenants.values()) {
      rows += index.columns.count;
      ended += index.endedBefore(starts);
    }
    return { rows, ended };
  }

  /** A commit, where one is due, and a bounded step of background work; false when there is none. */
  maintain(): boolean {
    if (this.#isDue) this.commit();
    const { hasBegun } = this.#db;
    try {
      for (const index of this.#tenants.values()) if (index.maintain()) return true;
      return false;
    } catch (error) {
      if (hasBegun && !this.#db.hasBegun) this.#goBack(error);
      throw error;
    }
  }

  get #isDue(): boolean {
    if (!this.#db.hasBegun) return false;
    return this.#isInDoubt || performance.now() - this.#begunAt >= this.#commitIntervalMs;
  }

  /**
   * Makes what was applied outlive a crash of the process.
   * @throws MemplaneError `storage_full`, `storage_unavailable`; then all since the last commit is lost
   */
  commit(): void {
    if (!this.#db.hasBegun) return;
    try {
      this.#store();
      this.#db.commit();
      this.#touched.clear();
      this.#moved.clear();
      this.#isInDoubt = false;
    } catch (error) {
      this.#goBack(error);
      throw storageError(error);
    }
  }

  /** Writes what memory has that the commit is to cover. */
  #store(): void {
    for (const index of this.#touched) index.flush();
    const store = this.#db.sql('INSERT OR REPLACE INTO partitions VALUES (?, ?, ?, ?, ?)');
    for (const partition of this.#moved) {
      const { epoch, applied, rows, digest } = this.partition(partition);
      store.run(partition, epoch, applied, rows, digest);
    }
  }

  /** @param remove what is kept elsewhere goes too. At once where all is here. */
  close(remove = false): Promise<void> {
    const closeHere = () => {
      try {
        this.commit();
      } catch {
        // What was not committed comes from the log again.
      }
      for (const index of this.#tenants.values()) {
        index.sync();
        index.close();
      }
      this.#db.close();
    };
    if (this.elsewhere) return this.elsewhere.close(remove).then(closeHere);
    closeHere();
    return Promise.resolve();
  }

  /** Forgets everything, to be filled from the log anew, or from another one. */
  startOver(log: LogShape): void {
    this.#dropMemory();
    this.#db.close();
    this.#damage = undefined;
    this.#removeFiles();
    this.#db = this.#open();
    this.follow(log);
  }

  #removeFiles(): void {
    rmSync(this.folder, { recursive: true, force: true });
    mkdirSync(this.folder, { recursive: true });
  }

  #dropMemory(): void {
    for (const index of this.#tenants.values()) index.close();
    this.elsewhere?.dropped();
    this.#tenants = new Map();
    this.#partitions = new Map();
    this.applied.clear();
    this.#touched.clear();
    this.#moved.clear();
  }

  #open(): Database {
    const db = new Database(join(this.folder, 'index.db'), {
      cache_bytes_max: this.#options.database_cache_bytes_max,
    });
    const shape = JSON.stringify([this.#options.dimensions, this.#options.model ?? null]);
    const found = db.meta('shape');
    if (found === undefined) db.setMeta('shape', shape);
    else if (found !== shape) {
      db.close();
      throw new MemplaneError('storage_damaged', `The index in ${this.folder} is of ${found}.`);
    }
    this.#loadPartitions(db);
    return db;
  }

  #loadPartitions(db: Database): void {
    for (const row of db.sql('SELECT * FROM partitions').all()) {
      const state = {
        epoch: Number(row['epoch']),
        applied: Number(row['applied']),
        rows: Number(row['rows']),
        digest: String(row['digest']),
      };
      this.#partitions.set(Number(row['partition']), state);
      this.applied.set(Number(row['partition']), state.applied);
    }
  }

  /** Work that is seen at once, and lasts from the next commit on. */
  #write(work: () => void): void {
    try {
      if (!this.#db.hasBegun) {
        this.#db.begin();
        this.#begunAt = performance.now();
      }
      work();
    } catch (error) {
      this.#goBack(error);
      throw storageError(error);
    }
    if (this.#isDue) this.commit();
  }

  /** Drops memory, which is read back from the last commit: reads go on with that. */
  #goBack(error: unknown): void {
    this.#db.rollback();
    this.#isInDoubt = true;
    this.#dropMemory();
    this.#loadPartitions(this.#db);
    this.onWentBack?.(storageError(error));
  }

  #tenant(tenant: string): TenantIndex {
    let index = this.#tenants.get(tenant);
    if (!index) {
      try {
        const grownTo = this.#db.meta('grown_to');
        index = new TenantIndex(this.folder, this.#db, tenant, this.#options, {
          grownTo: grownTo === undefined ? undefined : Number(grownTo),
          appliedOf: (partition) => this.applied.get(partition) ?? -1,
        });
      } catch (error) {
        if (error instanceof MemplaneError && error.code === 'storage_damaged')
          this.#damage = error;
        throw error;
      }
      this.#tenants.set(tenant, index);
    }
    return index;
  }
}

function hexOf(digest: bigint): string {
  return BigInt.asUintN(64, digest).toString(16).padStart(16, '0');
}

function wentBack(partition: number, applied: number, after: number): MemplaneError {
  return new MemplaneError(
    'storage_unavailable',
    `The index is at offset ${applied} of partition ${partition} again, and was at ${after}.`,
  );
}

function hasEvent(line: FeedLine): line is EventLine {
  return line.event !== undefined;
}
