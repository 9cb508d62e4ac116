import type { LogBounds } from '../port.ts';
import { RecentBatch } from '../recent-batch.ts';
import type { FileCache } from './file-cache.ts';
import type { EntryView } from './index-entry.ts';
import { readEntries } from './index-reader.ts';

const BLOCK_ENTRIES = 2048;
const BATCH_RECORDS = 4_096;
const TWO_32 = 0x1_0000_0000;

/** Walks one partition's index from its end to its start. */
class Backwards {
  readonly partition: number;
  readonly #files: FileCache;
  readonly #dir: string;
  readonly #start: number;
  #blockFrom: number;
  #view: EntryView | undefined;
  offset: number;
  /** Where the record lies in the journal, as one number that grows; -1 when there is no more. */
  place = -1;

  constructor(files: FileCache, dir: string, partition: number, bounds: LogBounds) {
    this.#files = files;
    this.#dir = dir;
    this.partition = partition;
    this.#start = bounds.start;
    this.#blockFrom = bounds.end;
    this.offset = bounds.end;
    this.next();
  }

  next(): void {
    this.offset -= 1;
    if (this.offset < this.#start) {
      this.place = -1;
      return;
    }
    if (this.#view === undefined || this.offset < this.#blockFrom) {
      const to = this.#blockFrom;
      this.#blockFrom = Math.max(this.#start, to - BLOCK_ENTRIES);
      this.#view = readEntries(this.#files, this.#dir, this.partition, this.#blockFrom, to);
    }
    const i = this.offset - this.#blockFrom;
    this.place = this.#view.segment(i) * TWO_32 + this.#view.position(i);
  }

  /** Leaves out a record that recovery could not read. */
  addTo(batch: RecentBatch): void {
    const view = this.#view;
    const i = this.offset - this.#blockFrom;
    if (view === undefined || view.lost(i) || !view.intact(i)) return;
    batch.addWords(this.partition, this.offset, view.hlc(i), view.words, view.digestsAt(i));
  }
}

/** The newest records over all partitions, in the reverse of the order they were stored in. */
export async function* newestFirst(
  files: FileCache,
  dir: string,
  bounds: readonly LogBounds[],
  limit: number,
): AsyncGenerator<RecentBatch> {
  const walks = bounds.map((one, partition) => new Backwards(files, dir, partition, one));
  for (let left = limit; left > 0; ) {
    const batch = newestOf(walks, Math.min(left, BATCH_RECORDS));
    if (batch.count === 0) return;
    yield batch;
    left -= batch.count;
  }
}

function newestOf(walks: readonly Backwards[], capacity: number): RecentBatch {
  const batch = new RecentBatch(capacity);
  while (!batch.isFull) {
    let newest: Backwards | undefined;
    for (const walk of walks) {
      if (walk.place >= 0 && (newest === undefined || walk.place > newest.place)) newest = walk;
    }
    if (newest === undefined) break;
    newest.addTo(batch);
    newest.next();
  }
  return batch;
}
