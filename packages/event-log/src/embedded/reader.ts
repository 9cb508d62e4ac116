import { MemplaneError } from '@memplane/contracts';
import { startOf, stretchAt } from '../lineage.ts';
import type { LogBounds, LogInfo, LogReader, LogReadOptions, LogRecord } from '../port.ts';
import type { BoundsSource } from './bounds-source.ts';
import { damaged, toStorageError } from './errors.ts';
import type { FileCache } from './file-cache.ts';
import type { FileSystem } from './file-system.ts';
import { isIntactRecord, RECORD_HEADER_BYTES } from './format.ts';
import type { EntryView } from './index-entry.ts';
import { readEntries } from './index-reader.ts';
import { findInJournal, type Place } from './journal-search.ts';
import { segmentFile } from './places.ts';
import { coalesce } from './read-plan.ts';
import { findOffsetSince } from './time-search.ts';

/** Records of one read at most, whatever is asked for. */
const RECORDS_MAX = 16_384;
const ENTRIES_PER_STEP = 1024;
/** Up to this much is read in place: it is quicker than a trip to the thread pool when cached. */
const SYNC_READ_BYTES = 64 * 1024;
/** Records whose place is remembered because their index entry is damaged. */
const FOUND_MAX = 1024;

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

/** Reads an embedded log, in the writer's process or in another one. */
export class EmbeddedReader implements LogReader {
  readonly #fs: FileSystem;
  readonly #dir: string;
  readonly #files: FileCache;
  readonly #source: BoundsSource;
  /** By partition and offset. */
  readonly #found = new Map<string, Place>();
  #isClosed = false;

  constructor(fs: FileSystem, dir: string, files: FileCache, source: BoundsSource) {
    this.#fs = fs;
    this.#dir = dir;
    this.#files = files;
    this.#source = source;
  }

  get info(): LogInfo {
    return this.#source.info;
  }

  async bounds(partition: number): Promise<LogBounds> {
    this.#check(partition);
    return this.#boundsOf(partition);
  }

  /** With what the partitions that it came out of still have. */
  #boundsOf(partition: number): LogBounds {
    const source = this.#source;
    const { end } = source.bounds(partition);
    const { lineage } = source.info;
    return { start: startOf(lineage, partition, (p) => source.bounds(p).start), end };
  }

  async read(partition: number, from: number, options: LogReadOptions): Promise<LogRecord[]> {
    this.#check(partition);
    const bounds = this.#boundsOf(partition);
    if (from < bounds.start) throw expired(partition, from, bounds.start);
    const limit = Math.min(options.maxRecords ?? RECORDS_MAX, RECORDS_MAX);
    const { home, to } = stretchAt(
      this.info.lineage,
      partition,
      from,
      Math.min(bounds.end, from + limit),
    );
    if (from >= to) return [];
    try {
      const places = this.#locate(home, from, to, options.maxBytes);
      const records = await this.#load(home, from, places);
      return home === partition ? records : records.map((record) => ({ ...record, partition }));
    } catch (error) {
      if (!isMissing(error)) throw toStorageError(error, 'reading the log');
      // removed from the front meanwhile, or by someone else
      const { start } = this.#boundsOf(partition);
      if (from < start) throw expired(partition, from, start);
      throw damaged('A file of the log is missing', { partition, offset: from });
    }
  }

  async offsetSince(partition: number, timeMs: number): Promise<number> {
    this.#check(partition);
    const { start, end } = this.#boundsOf(partition);
    try {
      for (let from = start; from < end; ) {
        const { home, to } = stretchAt(this.info.lineage, partition, from, end);
        const bounds = { start: from, end: to };
        const found = findOffsetSince(this.#files, this.#dir, home, bounds, timeMs);
        if (found < to) return found;
        from = to;
      }
      return end;
    } catch (error) {
      throw toStorageError(error, 'reading the log');
    }
  }

  async waitBeyond(ends: ReadonlyMap<number, number>, signal: AbortSignal): Promise<void> {
    for (const partition of ends.keys()) this.#check(partition);
    for (;;) {
      signal.throwIfAborted();
      if (this.#isClosed) throw new MemplaneError('shutting_down', 'The log is closed');
      const changes = this.#source.changes();
      for (const [partition, seen] of ends) {
        if (this.#source.bounds(partition).end > seen) return;
      }
      await this.#source.changed(changes, signal);
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#source.close();
    this.#files.close();
  }

  #check(partition: number): void {
    if (this.#isClosed) throw new MemplaneError('shutting_down', 'The log is closed');
    if (Number.isInteger(partition) && partition >= 0 && partition < this.info.partitions) return;
    throw new MemplaneError('invalid_request', `There is no partition ${partition}`);
  }

  /** The places of the records from `from` on whose values fit. */
  #locate(partition: number, from: number, to: number, maxBytes: number): Place[] {
    const places: Place[] = [];
    let valueBytes = 0;
    for (let at = from; at < to; at += ENTRIES_PER_STEP) {
      const end = Math.min(to, at + ENTRIES_PER_STEP);
      const view = readEntries(this.#files, this.#dir, partition, at, end);
      for (let i = 0; i < end - at; i++) {
        const place = placeOf(view, i);
        if (place === undefined) {
          if (places.length > 0) return places; // what comes before it can be read
          return [this.#findWithoutIndex(partition, at + i)];
        }
        valueBytes += place.length - RECORD_HEADER_BYTES - view.keyBytes(i);
        if (valueBytes > maxBytes && places.length > 0) return places;
        places.push(place);
      }
    }
    return places;
  }

  /** The index is only derived: a damaged entry of it loses nothing that the journal holds. */
  #findWithoutIndex(partition: number, offset: number): Place {
    const key = `${partition}/${offset}`;
    const place = this.#found.get(key) ?? findInJournal(this.#fs, this.#dir, partition, offset);
    if (place === undefined) {
      throw damaged('The index of the log is damaged', { partition, offset });
    }
    if (this.#found.size === FOUND_MAX) this.#found.clear();
    this.#found.set(key, place);
    return place;
  }

  async #load(partition: number, from: number, places: readonly Place[]): Promise<LogRecord[]> {
    const runs = coalesce(places);
    const bytes = Buffer.allocUnsafe(runs.reduce((sum, run) => sum + run.to - run.from, 0));
    const records: LogRecord[] = [];
    let filled = 0;
    for (const run of runs) {
      const part = bytes.subarray(filled, filled + run.to - run.from);
      filled += part.length;
      const path = segmentFile(this.#dir, run.segment);
      const read =
        part.length <= SYNC_READ_BYTES
          ? this.#files.useSync(path, (file) => file.readSync(part, part.length, run.from))
          : await this.#files.use(path, (file) => file.read(part, part.length, run.from));
      for (let i = run.first; i < run.first + run.count; i++) {
        const place = places[i] as Place;
        const offset = from + i;
        const at = place.position - run.from;
        const room = Math.min(place.length, read - at);
        if (!isIntactRecord(part, at, room, partition, offset)) {
          if (records.length > 0) return records;
          const { segment, position } = place;
          throw damaged('A record is damaged', { segment, position, partition, offset });
        }
        records.push(toRecord(part, at, place.length, partition, offset));
      }
    }
    return records;
  }
}

function placeOf(view: EntryView, i: number): Place | undefined {
  if (!view.intact(i)) return undefined;
  return { segment: view.segment(i), position: view.position(i), length: view.length(i) };
}

function toRecord(
  bytes: Buffer,
  at: number,
  length: number,
  partition: number,
  offset: number,
): LogRecord {
  const keyEnd = at + RECORD_HEADER_BYTES + bytes.readUInt16LE(at + 10);
  return {
    partition,
    offset,
    key: bytes.toString('utf8', at + RECORD_HEADER_BYTES, keyEnd),
    value: bytes.subarray(keyEnd, at + length),
    hlc: bytes.readBigUInt64LE(at + 28),
  };
}

function expired(partition: number, from: number, start: number): MemplaneError {
  return new MemplaneError(
    'history_expired',
    `Partition ${partition} begins at offset ${start}; ${from} is no longer there`,
    { extra: { partition, start } },
  );
}
