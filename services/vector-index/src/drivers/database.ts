import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { MemplaneError } from '@memplane/contracts';

/** Version of the tables below; another one is rebuilt from the log, never converted. */
export const INDEX_FORMAT = 5;

const TABLES = `
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS partitions (
  partition INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, applied INTEGER NOT NULL,
  rows INTEGER NOT NULL, digest TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS entities (
  tenant TEXT NOT NULL, entity TEXT NOT NULL, ref INTEGER NOT NULL,
  PRIMARY KEY (tenant, entity)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (
  tenant TEXT NOT NULL, row INTEGER NOT NULL, entity TEXT NOT NULL, memory_id TEXT NOT NULL,
  event_id TEXT NOT NULL, epoch INTEGER NOT NULL, expires_ms INTEGER, text TEXT, metadata TEXT,
  PRIMARY KEY (tenant, row)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entity_rows (
  tenant TEXT NOT NULL, entity_ref INTEGER NOT NULL, row INTEGER NOT NULL,
  PRIMARY KEY (tenant, entity_ref, row)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS current (
  tenant TEXT NOT NULL, entity_ref INTEGER NOT NULL, memory_id TEXT NOT NULL, row INTEGER NOT NULL,
  PRIMARY KEY (tenant, entity_ref, memory_id)) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rows_expiring ON rows (tenant, row, expires_ms)
  WHERE expires_ms IS NOT NULL;
CREATE TABLE IF NOT EXISTS fields (
  tenant TEXT NOT NULL, path TEXT NOT NULL, kind INTEGER NOT NULL, value ANY NOT NULL,
  row INTEGER NOT NULL, PRIMARY KEY (tenant, path, kind, value, row)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pending (
  tenant TEXT NOT NULL, row INTEGER NOT NULL, PRIMARY KEY (tenant, row)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS erased (
  tenant TEXT NOT NULL, entity TEXT NOT NULL, PRIMARY KEY (tenant, entity)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS segments (
  tenant TEXT NOT NULL, segment INTEGER NOT NULL, level INTEGER NOT NULL,
  rows_end INTEGER NOT NULL, PRIMARY KEY (tenant, segment)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS postings (
  tenant TEXT NOT NULL, segment INTEGER NOT NULL, term TEXT NOT NULL, rows INTEGER NOT NULL,
  bytes BLOB NOT NULL, PRIMARY KEY (tenant, segment, term)) STRICT, WITHOUT ROWID;
`;

/**
 * The embedded database of one generation of the index: SQLite in WAL mode. Commits are not synced
 * one by one: the log is the truth, a crash of the process loses nothing, and after a loss of power
 * the database is at an earlier commit, from which the index goes on.
 */
export class Database {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(path: string, options: { cache_bytes_max: number }) {
    this.#db = new DatabaseSync(path);
    // With the lock kept there is no shared memory file, whose pages a frozen disk would kill us for.
    this.#db.exec(`PRAGMA locking_mode = EXCLUSIVE;
      PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
      PRAGMA cache_size = -${Math.ceil(options.cache_bytes_max / 1024)};
      PRAGMA wal_autocheckpoint = 4000; PRAGMA temp_store = MEMORY;`);
    this.#db.exec(TABLES);
    const format = this.meta('format');
    if (format === undefined) this.setMeta('format', INDEX_FORMAT);
    else if (format !== INDEX_FORMAT) {
      this.#db.close();
      throw new MemplaneError('storage_damaged', `The index is of format ${String(format)}.`, {
        extra: { format, expected: INDEX_FORMAT },
      });
    }
  }

  /** Prepared once, kept. */
  sql(text: string): StatementSync {
    let statement = this.#statements.get(text);
    if (!statement) {
      statement = this.#db.prepare(text);
      this.#statements.set(text, statement);
    }
    return statement;
  }

  /** Whether there is work that {@link commit} has yet to make last. */
  get hasBegun(): boolean {
    return this.#db.isTransaction;
  }

  /** From here on all that is done is seen here alone, until {@link commit}. */
  begin(): void {
    this.#guarded(() => this.#db.exec('BEGIN IMMEDIATE'));
  }

  /** @throws MemplaneError `storage_full`, `storage_unavailable`; then nothing is left of the work */
  commit(): void {
    this.#guarded(() => this.#db.exec('COMMIT'));
  }

  rollback(): void {
    if (this.hasBegun) this.#db.exec('ROLLBACK');
  }

  /**
   * All of the work or nothing; it lasts with what has begun, where something has.
   * @throws MemplaneError `storage_full`, `storage_unavailable`
   */
  transaction<T>(work: () => T): T {
    if (this.hasBegun) return this.#step(work);
    this.begin();
    return this.#guarded(() => {
      const result = work();
      this.#db.exec('COMMIT');
      return result;
    });
  }

  /** A part of what has begun. A failure that ends all of it is told by {@link hasBegun}. */
  #step<T>(work: () => T): T {
    this.#db.exec('SAVEPOINT step');
    try {
      const result = work();
      this.#db.exec('RELEASE step');
      return result;
    } catch (error) {
      if (this.hasBegun) this.#db.exec('ROLLBACK TO step; RELEASE step');
      throw storageError(error);
    }
  }

  #guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      this.rollback();
      throw storageError(error);
    }
  }

  meta(key: string): SQLInputValue | undefined {
    const found = this.sql('SELECT value FROM meta WHERE key = ?').get(key);
    return found?.['value'] as SQLInputValue | undefined;
  }

  setMeta(key: string, value: SQLInputValue): void {
    this.sql('INSERT OR REPLACE INTO meta VALUES (?, ?)').run(key, value);
  }

  close(): void {
    this.#statements.clear();
    this.#db.close();
  }
}

/** `EBADF`: the file was opened for reading alone, while the disk refused writes. */
const REFUSED: ReadonlySet<string> = new Set(['EROFS', 'EACCES', 'EPERM', 'EIO', 'EBADF']);

/** Gives faults of the disk their stable codes; other errors stay as they are. */
export function storageError(error: unknown): unknown {
  const { code, errcode, message } = error as { code?: string; errcode?: number; message?: string };
  const primary = errcode === undefined ? undefined : errcode & 0xff;
  if (code === 'ENOSPC' || code === 'EDQUOT' || primary === 13) {
    return new MemplaneError('storage_full', 'The disk of the index is full.', { cause: error });
  }
  if ((code !== undefined && REFUSED.has(code)) || primary === 8 || primary === 10) {
    return new MemplaneError('storage_unavailable', `The index can not be written: ${message}`, {
      cause: error,
    });
  }
  if (primary === 11 || primary === 26) {
    return new MemplaneError('storage_damaged', `The index is damaged: ${message}`, {
      cause: error,
    });
  }
  return error;
}
