import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { ComputedVectors } from '../domain/ports.ts';
import { storageError } from './database.ts';

/**
 * Vectors that the plane computed, under (format, model, SHA-256 of the text), synced before they
 * are used. They live apart from the index: deleting the index costs no model.
 */
export class StoredComputedVectors implements ComputedVectors {
  readonly #db: DatabaseSync;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.#db = new DatabaseSync(join(folder, 'computed.db'));
    this.#db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA user_version = 1;
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
    const insert = this.#db.prepare('INSERT OR IGNORE INTO vectors VALUES (?, ?, NULL, ?)');
    try {
      this.#db.exec('BEGIN IMMEDIATE');
      for (const [text, vector] of entries) {
        const bytes = new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength);
        insert.run(model, hash(text), bytes);
      }
      this.#db.exec('COMMIT');
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw storageError(error);
    }
  }

  close(): void {
    this.#db.close();
  }
}

function hash(text: string): Uint8Array {
  return createHash('sha256').update(text).digest();
}
