import { createHash } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { ComputedVectors, StoredVector } from '../domain/ports.ts';
import { storageError } from './database.ts';

const FILE = 'computed.db';

/** The folder beside that of an index, where none is set. */
export const computedDirOf = (indexDir: string): string => `${indexDir}-computed`;

export function hasComputedVectors(folder: string): boolean {
  return existsSync(join(folder, FILE));
}

/**
 * Vectors that the plane computed, under (format, model, SHA-256 of the text), synced before they
 * are used. They live apart from the index: deleting the index costs no model.
 */
export class StoredComputedVectors implements ComputedVectors {
  readonly #db: DatabaseSync;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.#db = new DatabaseSync(join(folder, FILE));
    // What is removed is overwritten.
    this.#db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA user_version = 1;
      PRAGMA secure_delete = ON;
      CREATE TABLE IF NOT EXISTS vectors (
        model TEXT NOT NULL, text_hash BLOB NOT NULL, key_id TEXT, vector BLOB NOT NULL,
        PRIMARY KEY (model, text_hash)) STRICT, WITHOUT ROWID;`);
  }

  get(model: string, text: string): Float32Array | undefined {
    const found = this.#db
      .prepare('SELECT vector FROM vectors WHERE model = ? AND text_hash = ?')
      .get(model, hash(text));
    if (!found) return undefined;
    const bytes = found['vector'] as Uint8Array;
    return new Float32Array(bytes.slice().buffer);
  }

  put(model: string, entries: readonly (readonly [text: string, vector: Float32Array])[]): void {
    this.#insert(
      entries.map(([text, { buffer, byteOffset, byteLength }]) => ({
        model,
        textHash: hash(text),
        vector: new Uint8Array(buffer, byteOffset, byteLength),
      })),
    );
  }

  page(after: StoredVector | undefined, limit: number): StoredVector[] {
    const { model = '', textHash = new Uint8Array() } = after ?? {};
    return this.#db
      .prepare(`SELECT model, text_hash AS textHash, vector FROM vectors
        WHERE (model, text_hash) > (?, ?) ORDER BY model, text_hash LIMIT ?`)
      .all(model, textHash, limit) as unknown as StoredVector[];
  }

  putStored(vectors: readonly StoredVector[]): void {
    this.#insert(vectors);
  }

  remove(texts: readonly string[]): void {
    const remove = this.#db.prepare('DELETE FROM vectors WHERE text_hash = ?');
    try {
      this.#db.exec('BEGIN IMMEDIATE');
      for (const text of texts) remove.run(hash(text));
      this.#db.exec('COMMIT');
      // The write-ahead file has them still.
      this.#db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw storageError(error);
    }
  }

  close(): void {
    this.#db.close();
  }

  #insert(vectors: Iterable<StoredVector>): void {
    const insert = this.#db.prepare('INSERT OR IGNORE INTO vectors VALUES (?, ?, NULL, ?)');
    try {
      this.#db.exec('BEGIN IMMEDIATE');
      for (const { model, textHash, vector } of vectors) insert.run(model, textHash, vector);
      this.#db.exec('COMMIT');
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw storageError(error);
    }
  }
}

function hash(text: string): Uint8Array {
  return createHash('sha256').update(text).digest();
}
