import type { LogRecord } from '../port.ts';
import { decodeBatch, type RawBatch } from './batch-decoder.ts';

/** A partition with this much unread is not fetched ahead. */
const AHEAD_BYTES = 128 * 1024;

/** How much may be taken yet. */
export interface TakeBounds {
  /** Counted down as records are taken. */
  bytes: number;
  /** Of the whole list. */
  readonly records: number;
}

interface Cached {
  readonly raw: RawBatch;
  records: LogRecord[] | undefined;
}

/**
 * Batches that were fetched and not read yet, per partition in order and without overlaps. They are
 * unpacked when they are read, and dropped when they have been. Bounded: the oldest go first.
 */
export class BatchCache {
  readonly #bytesMax: number;
  readonly #partitions = new Map<number, Cached[]>();
  /** In the order of arrival; some may be dropped already. */
  readonly #arrivals: Cached[] = [];
  readonly #held = new Set<Cached>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  bytesOf(partition: number): number {
    let bytes = 0;
    for (const { raw } of this.#partitions.get(partition) ?? []) bytes += raw.bytes.length;
    return bytes;
  }

  add(batches: readonly RawBatch[]): void {
    for (const raw of batches) {
      const own = this.#partitions.get(raw.partition) ?? [];
      this.#partitions.set(raw.partition, own);
      let at = own.length;
      while (at > 0 && (own[at - 1]?.raw.from ?? 0) > raw.from) at--;
      const before = own[at - 1]?.raw;
      const after = own[at]?.raw;
      if ((before && before.next > raw.from) || (after && after.from < raw.next)) continue;
      const cached = { raw, records: undefined };
      own.splice(at, 0, cached);
      this.#arrivals.push(cached);
      this.#held.add(cached);
      this.#bytes += raw.bytes.length;
    }
    // What has just come stays, however large: it is about to be read.
    while (this.#bytes > this.#bytesMax && this.#arrivals.length > batches.length) {
      const oldest = this.#arrivals.shift();
      if (oldest) this.#drop(oldest);
    }
  }

  has(partition: number, offset: number): boolean {
    return this.#find(partition, offset) !== undefined;
  }

  /**
   * Where the batches that follow an offset without a gap end; undefined when they hold so much
   * already that more should wait.
   */
  reach(partition: number, offset: number): number | undefined {
    let next = offset;
    let bytes = 0;
    for (const { raw } of this.#partitions.get(partition) ?? []) {
      if (raw.next <= next) continue;
      if (raw.from > next) break;
      next = raw.next;
      bytes += raw.bytes.length;
      if (bytes > AHEAD_BYTES) return undefined;
    }
    return next;
  }

  /**
   * Takes records from the batch that an offset is in, and drops the batch when none are left.
   * @param into gets the records; nothing is added beyond the bounds, except to an empty list
   * @returns the next offset to read, and whether a bound was reached; undefined when the batch is
   * not here
   * @throws MemplaneError `storage_damaged`
   */
  take(
    partition: number,
    from: number,
    into: LogRecord[],
    bounds: TakeBounds,
  ): { next: number; isFull: boolean } | undefined {
    const cached = this.#find(partition, from);
    if (!cached) return undefined;
    try {
      cached.records ??= decodeBatch(cached.raw);
    } catch (error) {
      this.#drop(cached);
      throw error;
    }
    const { records } = cached;
    for (let i = indexOf(records, from); i < records.length; i++) {
      const record = records[i];
      if (!record) break;
      const bytes = bounds.bytes - record.value.length;
      if (into.length > 0 && (bytes < 0 || into.length >= bounds.records)) {
        return { next: record.offset, isFull: true };
      }
      bounds.bytes = bytes;
      into.push(record);
    }
    this.#drop(cached);
    return { next: cached.raw.next, isFull: false };
  }

  clear(): void {
    this.#partitions.clear();
    this.#arrivals.length = 0;
    this.#held.clear();
    this.#bytes = 0;
  }

  #find(partition: number, offset: number): Cached | undefined {
    const own = this.#partitions.get(partition);
    if (!own) return undefined;
    // Nearly always the first: batches are read in order, and dropped.
    for (const cached of own) {
      if (cached.raw.from > offset) return undefined;
      if (cached.raw.next > offset) return cached;
    }
    return undefined;
  }

  #drop(cached: Cached): void {
    if (!this.#held.delete(cached)) return;
    this.#bytes -= cached.raw.bytes.length;
    const own = this.#partitions.get(cached.raw.partition);
    const at = own?.indexOf(cached) ?? -1;
    if (at >= 0) own?.splice(at, 1);
    if (this.#arrivals[0] === cached) this.#arrivals.shift();
    else if (this.#arrivals.length > 1024 && this.#arrivals.length > this.#held.size * 2) {
      const held = this.#arrivals.filter((one) => this.#held.has(one));
      this.#arrivals.splice(0, this.#arrivals.length, ...held);
    }
  }
}

/** The index of the first record at or after an offset. */
function indexOf(records: readonly LogRecord[], offset: number): number {
  const first = records[0]?.offset ?? offset;
  let at = Math.min(records.length, Math.max(0, offset - first));
  // Gaps, which compaction leaves, put it further ahead.
  while (at > 0 && (records[at - 1]?.offset ?? 0) >= offset) at--;
  return at;
}
