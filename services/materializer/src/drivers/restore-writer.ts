import type { RocksStore } from '@memplane/rocks';

const BATCH_BYTES = 1024 * 1024;
/** Of the rows that are kept back: more are written as they come. */
const KEPT_BYTES_MAX = 16 * 1024 * 1024;

/**
 * Fills a store with the rows of one shard, so that RocksDB can move the files that become of them
 * down its levels as they are, in place of merging them with all that is there, again and again. That
 * takes files whose ranges of keys do not overlap: tenants' rows come first, and what is the plane's
 * own (its keys are apart from those of all tenants) is kept back until its end.
 */
export class RestoreWriter {
  readonly #rocks: RocksStore;
  #batch;
  #kept;
  #writing: Promise<void> = Promise.resolve();

  constructor(rocks: RocksStore) {
    this.#rocks = rocks;
    this.#batch = rocks.batch();
    this.#kept = rocks.batch();
  }

  /** To be called between rows, and waited for. Writing goes on while the next rows are read. */
  room(): Promise<void> | undefined {
    return this.#batch.byteLength < BATCH_BYTES ? undefined : this.#write();
  }

  /** Neither may be changed from here on. */
  put(key: Buffer, value: Buffer): void {
    this.#batch.put(key, value);
  }

  /** Like {@link put}, of what is the plane's own. */
  keep(key: Buffer, value: Buffer): void {
    if (this.#kept.byteLength < KEPT_BYTES_MAX) this.#kept.put(key, value);
    else this.put(key, value);
  }

  /** Nothing more is written. */
  async abandon(): Promise<void> {
    await this.#writing.catch(() => {});
  }

  /** Writes what is left, and a last row with which all of it counts; durable on return. */
  async end(key: Buffer, value: Buffer): Promise<void> {
    await this.#write();
    await this.#writing;
    await this.#rocks.flush();
    await this.#rocks.write(this.#kept.put(key, value));
    // What is in a file is durable: the write-ahead log needs no sync of its own.
    await this.#rocks.flush();
  }

  async #write(): Promise<void> {
    await this.#writing;
    this.#writing = this.#rocks.write(this.#batch);
    this.#writing.catch(() => {});
    this.#batch = this.#rocks.batch();
  }
}
