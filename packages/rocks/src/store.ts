import { mkdir } from 'node:fs/promises';
import { MemplaneError } from '@memplane/contracts';
import { compactionYields } from './compaction-priority.ts';
import { ScanCursor } from './cursor.ts';
import { storageError } from './errors.ts';
import { NativeIterator, type RocksEntry, type ScanBounds } from './iterator.ts';
import { type NativeDatabase, type NativeHandle, PURGE, RocksDb } from './native.ts';
import { nativeOptions, type RocksOptions } from './options.ts';
import { BatchRequests } from './requests.ts';
import { RocksSnapshot } from './snapshot.ts';
import { WalSync } from './wal-sync.ts';
import { WriteBatch } from './write-batch.ts';

/** From one key, inclusive, to another. */
export interface KeyRange {
  readonly gte: Uint8Array;
  readonly lt: Uint8Array;
}

export interface ScanOptions extends ScanBounds {
  /** Rows at most; default: no bound other than the range. */
  readonly limit?: number;
  readonly snapshot?: RocksSnapshot | undefined;
  /** Fetch values too; default true. */
  readonly values?: boolean;
  /** Rows fetched in one step; default the store's `scanChunkRows`. */
  readonly chunkRows?: number;
  /** About how many bytes one step may have, by the rows of the one before; default: any. */
  readonly chunkBytes?: number;
}

export interface WriteOptions {
  /** Durable on return, against a loss of power too; default false: only against a crash. */
  readonly sync?: boolean;
}

/**
 * An ordered, durable map from bytes to bytes, in one folder. May be opened in any thread, by one
 * process at a time (`storage_unavailable` with `locked` otherwise). Every method throws
 * {@link MemplaneError}: `storage_full`, `storage_unavailable`, `storage_damaged`, or
 * `shutting_down` once closed.
 */
export class RocksStore {
  readonly dir: string;
  readonly #db: NativeDatabase;
  readonly #handle: NativeHandle;
  readonly #columnFamily: NativeHandle;
  readonly #requests: BatchRequests;
  readonly #wal: WalSync;
  readonly #scanChunkRows: number;
  readonly #snapshots = new Set<RocksSnapshot>();
  readonly #cursors = new Set<ScanCursor>();
  #closing: Promise<void> | undefined;

  private constructor(dir: string, db: NativeDatabase, options: RocksOptions) {
    this.dir = dir;
    this.#db = db;
    this.#handle = db._state._handle;
    this.#columnFamily = db._columnFamily._handle;
    this.#requests = new BatchRequests(this.#handle, this.#columnFamily);
    this.#wal = new WalSync(dir, () => db.currentWalFile());
    this.#scanChunkRows = options.scanChunkRows ?? 256;
  }

  static async open(dir: string, options: RocksOptions = {}): Promise<RocksStore> {
    try {
      if (options.readOnly !== true) await mkdir(dir, { recursive: true });
      const db = new RocksDb(dir, nativeOptions(options));
      await db.ready();
      compactionYields();
      return new RocksStore(dir, db, options);
    } catch (error) {
      throw storageError(error, dir);
    }
  }

  async get(key: Uint8Array, snapshot?: RocksSnapshot): Promise<Buffer | null> {
    const values = await this.getMany([key], snapshot);
    return values[0] ?? null;
  }

  /** Values in the order of the keys, `null` for each that is not there. */
  getMany(keys: readonly Uint8Array[], snapshot?: RocksSnapshot): Promise<(Buffer | null)[]> {
    if (keys.length === 0) return Promise.resolve([]);
    return this.#work(async () => {
      const fixed = snapshot?.acquire();
      try {
        return await this.#requests.read(keys, fixed);
      } finally {
        snapshot?.release();
      }
    });
  }

  batch(): WriteBatch {
    return new WriteBatch(this.#columnFamily);
  }

  /** Writes the batch; concurrent writes are ordered by RocksDB, each is all or nothing. */
  async write(batch: WriteBatch, options: WriteOptions = {}): Promise<void> {
    await this.#work(async () => {
      if (batch.size > 0) await this.#requests.write(batch.operations);
      if (options.sync === true) await this.#wal.sync();
    });
  }

  /** Makes every write answered so far durable. Overlapping calls share their disk syncs. */
  sync(): Promise<void> {
    return this.#work(() => this.#wal.sync());
  }

  /** How many disk syncs were made: a measure of how well writers share them. */
  get syncRuns(): number {
    return this.#wal.runs;
  }

  /** The rows of a range, at most `limit`, as one array: the fastest way for short ranges. */
  async scanAll(options: ScanOptions & { readonly limit: number }): Promise<RocksEntry[]> {
    const step = options.chunkRows ?? Math.max(this.#scanChunkRows, 1024);
    if (options.limit <= 0) return [];
    const cursor = await this.#cursor(options);
    try {
      const first = Math.min(options.limit, step);
      let rows = await cursor.read(first);
      let more = rows.length === first;
      while (more && rows.length < options.limit) {
        const wanted = Math.min(options.limit - rows.length, step);
        const next = await cursor.read(wanted);
        rows = rows.concat(next);
        more = next.length === wanted;
      }
      return rows;
    } catch (error) {
      throw storageError(error, this.dir);
    } finally {
      // Not awaited: the rows are already here, and closing costs another turn of the thread pool.
      void cursor.close();
    }
  }

  /** The rows of a range in chunks, for ranges of any length. Breaking off releases the iterator. */
  async *scan(options: ScanOptions = {}): AsyncGenerator<RocksEntry[], void, undefined> {
    const stepMax = options.chunkRows ?? this.#scanChunkRows;
    const { chunkBytes } = options;
    let step = chunkBytes === undefined ? stepMax : Math.min(stepMax, this.#scanChunkRows);
    let left = options.limit ?? Number.POSITIVE_INFINITY;
    if (left <= 0) return;
    const cursor = await this.#cursor(options);
    try {
      while (left > 0) {
        const wanted = Math.min(step, left);
        const rows = await cursor.read(wanted);
        if (chunkBytes !== undefined) step = Math.min(stepMax, rowsWithin(chunkBytes, rows));
        if (rows.length > 0) yield rows;
        if (rows.length < wanted) return;
        left -= rows.length;
      }
    } catch (error) {
      throw storageError(error, this.dir);
    } finally {
      await cursor.close();
    }
  }

  /** Fixes the present state for reads. Close it; closing the store closes those left open. */
  snapshot(): RocksSnapshot {
    this.#checkOpen();
    const snapshot = new RocksSnapshot(this.#handle, (it) => this.#snapshots.delete(it));
    this.#snapshots.add(snapshot);
    return snapshot;
  }

  /**
   * Estimated bytes on disk and in memory, one sum for each group of ranges. Of what is in files,
   * RocksDB leaves out the values that have files of their own; each range gets its part of those by
   * its size.
   */
  async approximateSizes(groups: readonly (readonly KeyRange[])[]): Promise<number[]> {
    const [blobBytes = 0, fileBytes = 0] = await Promise.all(
      ['rocksdb.live-blob-file-size', 'rocksdb.live-sst-files-size'].map(async (name) =>
        Number(await this.property(name)),
      ),
    );
    const factor = fileBytes === 0 ? 1 : 1 + blobBytes / fileBytes;
    return Promise.all(
      groups.map(async (ranges) => {
        const sizes = await Promise.all(
          ranges.map((range) => this.#approximateSize(range, factor)),
        );
        return Math.round(sizes.reduce((sum, size) => sum + size, 0));
      }),
    );
  }

  /** Memory holds whole values, so the factor is for what is in files alone. */
  async #approximateSize({ gte, lt }: KeyRange, factor: number): Promise<number> {
    const [inMemory, inFiles] = await Promise.all(
      [true, false].map((memory) => {
        const what = { includeMemtables: memory, includeFiles: !memory };
        return this.#work(() => this.#db.approximateSize(gte, lt, what));
      }),
    );
    return (inMemory ?? 0) + (inFiles ?? 0) * factor;
  }

  /** Writes what is in memory into files. */
  flush(): Promise<void> {
    return this.#work(() => this.#db.flush());
  }

  /** Rewrites a range so that removed and replaced values give their space back. */
  compact(start: Uint8Array | null = null, end: Uint8Array | null = null): Promise<void> {
    return this.#work(() => this.#db.compactRange(start, end));
  }

  /**
   * Rewrites everything, so that nothing that was removed or replaced is left in any file: write-ahead
   * files, tables, and files of values, of which each holds values of the whole range of keys. What
   * open snapshots show stays, and the keys at the ends of former tables are in the manifest, until
   * the store is opened anew.
   */
  purge(): Promise<void> {
    return this.#work(async () => {
      await this.#db.flush();
      await this.#db.compactRange(null, null, PURGE);
    });
  }

  /** A property of RocksDB, e.g. `rocksdb.cur-size-all-mem-tables`; null when unknown. */
  property(name: string): Promise<string | null> {
    return this.#work(async () => (await this.#db.getProperty(name)) ?? null);
  }

  /** Waits for calls under way, then closes; may be called again. */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      await Promise.all([...this.#cursors].map((cursor) => cursor.close()));
      await this.#wal.close();
      for (const snapshot of [...this.#snapshots]) snapshot.close();
      await this.#db.close();
    })();
    return this.#closing;
  }

  async #cursor(options: ScanOptions): Promise<ScanCursor> {
    return await this.#work(async () => {
      const iterator = new NativeIterator(options, options.values === false);
      const snapshot = options.snapshot?.acquire();
      try {
        await iterator.open(this.#handle, this.#columnFamily, snapshot);
      } catch (error) {
        options.snapshot?.release();
        throw error;
      }
      this.#db._state.io.inc();
      const cursor: ScanCursor = new ScanCursor(iterator, () => {
        this.#cursors.delete(cursor);
        options.snapshot?.release();
        this.#db._state.io.dec();
      });
      this.#cursors.add(cursor);
      return cursor;
    });
  }

  async #work<T>(call: () => Promise<T>): Promise<T> {
    this.#checkOpen();
    this.#db._state.io.inc();
    try {
      return await call();
    } catch (error) {
      throw storageError(error, this.dir);
    } finally {
      this.#db._state.io.dec();
    }
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) {
      throw new MemplaneError('shutting_down', `The store ${this.dir} is closed`);
    }
  }
}

/** How many rows of the size of these make so many bytes; one at least. */
function rowsWithin(bytes: number, rows: readonly RocksEntry[]): number {
  let found = 1;
  for (const { key, value } of rows) found += key.length + value.length;
  return Math.max(1, Math.floor((bytes * rows.length) / found));
}
