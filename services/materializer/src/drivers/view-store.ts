import { MemplaneError } from '@memplane/contracts';
import type { LogInfo } from '@memplane/event-log';
import { type RocksOptions, type RocksSnapshot, RocksStore, reopenStore } from '@memplane/rocks';
import { FORMAT_KEY, PLANE, ShardKeys, toKey } from '../domain/keys.ts';
import { decodeShard, emptyShard, type ShardRecord } from '../domain/shard-record.ts';

/** How long reads under way may hold up a reopening; what is not done then fails. */
const READS_DRAIN_TIMEOUT_MS = 2_000;

/**
 * Larger values are written once and not again by each compaction: above all events with vectors,
 * which are half of the bytes. Smaller ones stay with their keys, where scans find them in a row.
 */
const BLOB_VALUE_BYTES_MIN = 2_048;

const FORMAT = { format: 1, keyId: 0 };

/** The store of the views: opened, checked, and opened anew when the storage had failed. */
export class ViewStore {
  readonly dir: string;
  readonly #options: RocksOptions;
  #rocks: RocksStore;
  #reopening: Promise<void> | undefined;
  readonly #reads = new Set<Promise<unknown>>();

  private constructor(dir: string, options: RocksOptions, rocks: RocksStore) {
    this.dir = dir;
    this.#options = options;
    this.#rocks = rocks;
  }

  /** @throws MemplaneError `storage_damaged` for a store in a format that is not ours. */
  static async open(dir: string, writeBufferBytes: number): Promise<ViewStore> {
    const options = { writeBufferBytes, blobValueBytesMin: BLOB_VALUE_BYTES_MIN };
    const rocks = await RocksStore.open(dir, options);
    try {
      await checkFormat(rocks);
    } catch (error) {
      await rocks.close();
      throw error;
    }
    return new ViewStore(dir, options, rocks);
  }

  get rocks(): RocksStore {
    return this.#rocks;
  }

  /** Gives a read one fixed state of all shards. */
  async read<T>(work: (rocks: RocksStore, snapshot: RocksSnapshot) => Promise<T>): Promise<T> {
    while (this.#reopening !== undefined) await this.#reopening.catch(() => {});
    const read = this.#read(work);
    this.#reads.add(read);
    try {
      return await read;
    } finally {
      this.#reads.delete(read);
    }
  }

  async #read<T>(work: (rocks: RocksStore, snapshot: RocksSnapshot) => Promise<T>): Promise<T> {
    const rocks = this.#rocks;
    const snapshot = rocks.snapshot();
    try {
      return await work(rocks, snapshot);
    } finally {
      snapshot.close();
    }
  }

  /**
   * Resolves when all reads have ended that began before: what was removed by then is needed by none.
   * @returns whether they have, within a time in milliseconds
   */
  async readsEnded(timeoutMs: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), timeoutMs);
    });
    const ended = Promise.allSettled([...this.#reads]).then(() => true);
    const inTime = await Promise.race([ended, late]);
    clearTimeout(timer);
    return inTime;
  }

  /**
   * What the store has of a partition: all of it, or a beginning, if others have owned the partition
   * since. Empty when there is nothing.
   * @throws MemplaneError `token_of_another_log` when the views are of another log.
   */
  async loadShard(info: LogInfo, partition: number): Promise<ShardRecord> {
    return this.#recordOf(info, await this.#rocks.get(shardKey(partition)));
  }

  /** {@link loadShard} of all partitions. */
  async loadShards(info: LogInfo): Promise<ShardRecord[]> {
    const keys = Array.from({ length: info.partitions }, (_, p) => shardKey(p));
    return (await this.#rocks.getMany(keys)).map((row) => this.#recordOf(info, row));
  }

  #recordOf({ logId, epoch }: LogInfo, row: Buffer | null): ShardRecord {
    if (row === null) return emptyShard(logId, epoch);
    const record = decodeShard(row);
    if (record.logId === logId) return record;
    throw new MemplaneError(
      'token_of_another_log',
      `The views in ${this.dir} are of the log ${record.logId}, not of ${logId}. Delete that folder to build them anew.`,
    );
  }

  /**
   * Closes the store and opens it again: RocksDB refuses writes after some failures until then.
   * When it can't be opened for writing, it is opened for reading alone.
   */
  reopen(): Promise<void> {
    this.#reopening ??= this.#reopen().finally(() => {
      this.#reopening = undefined;
    });
    return this.#reopening;
  }

  async #reopen(): Promise<void> {
    await Promise.race([
      Promise.allSettled(this.#reads),
      new Promise((resolve) => setTimeout(resolve, READS_DRAIN_TIMEOUT_MS).unref()),
    ]);
    const { store, failure } = await reopenStore(this.#rocks, this.#options);
    this.#rocks = store;
    if (failure !== undefined) throw failure;
  }

  close(): Promise<void> {
    return this.#rocks.close();
  }
}

export function shardKey(partition: number): Buffer {
  return toKey(new ShardKeys(PLANE, partition).shard());
}

async function checkFormat(rocks: RocksStore): Promise<void> {
  const row = await rocks.get(FORMAT_KEY);
  if (row === null) {
    await rocks.write(rocks.batch().put(FORMAT_KEY, Buffer.from(JSON.stringify(FORMAT))));
    return;
  }
  const found = JSON.parse(row.toString()) as { format?: unknown };
  if (found.format !== FORMAT.format) {
    throw new MemplaneError(
      'storage_damaged',
      `The views in ${rocks.dir} have format ${String(found.format)}; this version reads ${FORMAT.format}. Delete that folder to build them anew from the log.`,
    );
  }
}
