import type { FileSystem, LogFile } from './file-system.ts';
import { ENTRIES_PER_CHUNK, ENTRY_BYTES } from './index-entry.ts';
import { chunkFile, chunkOfName, indexDir } from './places.ts';

interface OpenChunk {
  readonly chunk: number;
  readonly file: LogFile;
}

/** The writing side of the partitions' indexes. Positions are offsets, bytes follow from them. */
export class IndexFiles {
  readonly #fs: FileSystem;
  readonly #dir: string;
  readonly #open = new Map<number, OpenChunk>();
  /** Files written since the last {@link sync}, apart from the open ones. */
  #unsynced: LogFile[] = [];
  readonly #touched = new Set<number>();
  /** After a failed sync nothing tells which entries are on the disk; only a restart finds out. */
  #syncFailed = false;

  constructor(fs: FileSystem, dir: string) {
    this.#fs = fs;
    this.#dir = dir;
  }

  /** Writes entries for `first`, `first + 1`, … of a partition. */
  write(partition: number, first: number, entries: Buffer): void {
    let done = 0;
    while (done < entries.length) {
      const offset = first + done / ENTRY_BYTES;
      const within = offset % ENTRIES_PER_CHUNK;
      const room = (ENTRIES_PER_CHUNK - within) * ENTRY_BYTES;
      const part = entries.subarray(done, Math.min(done + room, entries.length));
      const file = this.#chunk(partition, Math.floor(offset / ENTRIES_PER_CHUNK));
      file.writeSync(part, within * ENTRY_BYTES);
      this.#touched.add(partition);
      done += part.length;
    }
  }

  /**
   * Counts the entries in [from, to) as not yet durable: an earlier process wrote them, and may
   * have ended before it could sync them.
   */
  adopt(partition: number, from: number, to: number): void {
    if (from >= to) return;
    const last = Math.floor((to - 1) / ENTRIES_PER_CHUNK);
    for (let chunk = Math.floor(from / ENTRIES_PER_CHUNK); chunk <= last; chunk++) {
      this.#chunk(partition, chunk);
    }
    this.#touched.add(partition);
  }

  /** Makes all that was written durable. Writes that come meanwhile may or may not be included. */
  async sync(): Promise<void> {
    if (this.#syncFailed) throw new Error('an earlier sync of the index failed');
    this.#syncFailed = true;
    const rolled = this.#unsynced;
    this.#unsynced = [];
    const open = [...this.#touched].map((partition) => this.#open.get(partition)?.file);
    this.#touched.clear();
    for (const file of rolled) {
      await file.sync();
      file.close();
    }
    for (const file of open) await file?.sync();
    await this.#fs.syncDir(indexDir(this.#dir));
    this.#syncFailed = false;
  }

  /** Cuts a partition's index off at `end`, the first offset that it is not to hold. */
  truncate(partition: number, end: number): void {
    const last = Math.floor(end / ENTRIES_PER_CHUNK);
    for (const name of this.#fs.list(indexDir(this.#dir))) {
      const place = chunkOfName(name);
      if (place?.partition !== partition || place.chunk < last) continue;
      if (place.chunk > last) this.#fs.remove(chunkFile(this.#dir, partition, place.chunk));
      else this.#chunk(partition, last).truncate((end % ENTRIES_PER_CHUNK) * ENTRY_BYTES);
    }
  }

  /** Removes the files that hold nothing at or above `start`. */
  removeBefore(partition: number, start: number): void {
    const first = Math.floor(start / ENTRIES_PER_CHUNK);
    for (const name of this.#fs.list(indexDir(this.#dir))) {
      const place = chunkOfName(name);
      if (place?.partition !== partition || place.chunk >= first) continue;
      if (this.#open.get(partition)?.chunk === place.chunk) continue;
      this.#fs.remove(chunkFile(this.#dir, partition, place.chunk));
    }
  }

  close(): void {
    for (const { file } of this.#open.values()) file.close();
    for (const file of this.#unsynced) file.close();
    this.#open.clear();
    this.#unsynced = [];
  }

  #chunk(partition: number, chunk: number): LogFile {
    const open = this.#open.get(partition);
    if (open?.chunk === chunk) return open.file;
    const file = this.#fs.open(chunkFile(this.#dir, partition, chunk), 'create');
    if (open) this.#unsynced.push(open.file);
    this.#open.set(partition, { chunk, file });
    return file;
  }
}
