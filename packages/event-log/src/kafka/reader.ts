import { MemplaneError } from '@memplane/contracts';
import type { LogBounds, LogInfo, LogReader, LogReadOptions, LogRecord } from '../port.ts';
import { BatchCache } from './batch-cache.ts';
import type { BoundsLookup } from './bounds.ts';
import type { BrokerLinks } from './broker-links.ts';
import { Fetcher } from './fetcher.ts';
import type { ResolvedKafkaOptions } from './options.ts';
import { logClosed } from './retry.ts';
import { TailWatch } from './tail-watch.ts';
import type { TopicMap } from './topic-map.ts';

/** Records of one read at most, whatever is asked for. */
const RECORDS_MAX = 16_384;
/** Fetches under way ahead of their reads. */
const PREFETCHES_MAX = 4;

/** What a reader or writer of a log is made of. */
export interface LogParts {
  readonly options: ResolvedKafkaOptions;
  readonly links: BrokerLinks;
  readonly map: TopicMap;
  readonly bounds: BoundsLookup;
  readonly closing: AbortController;
}

/** Reads a log on Kafka by offsets of its own: no group, no committed offsets. */
export class KafkaReader implements LogReader {
  readonly info: LogInfo;
  readonly #parts: LogParts;
  readonly #cache: BatchCache;
  readonly #fetcher: Fetcher;
  readonly #tail: TailWatch;
  /** `partition/offset` → the fetch under way from there. */
  readonly #fetching = new Map<string, Promise<number>>();

  constructor(parts: LogParts) {
    const { options, map, bounds, closing } = parts;
    this.#parts = parts;
    this.info = map.info;
    this.#cache = new BatchCache(options.cacheBytesMax);
    this.#fetcher = new Fetcher(map, options, bounds, closing.signal);
    this.#tail = new TailWatch(map, options, bounds, this.#cache, closing.signal);
  }

  async bounds(partition: number): Promise<LogBounds> {
    this.#check(partition);
    const bounds = await this.#parts.bounds.bounds(partition);
    this.#tail.saw(partition, bounds.end);
    return bounds;
  }

  async read(partition: number, from: number, options: LogReadOptions): Promise<LogRecord[]> {
    this.#check(partition);
    const bounds = {
      bytes: options.maxBytes,
      records: Math.min(options.maxRecords ?? RECORDS_MAX, RECORDS_MAX),
    };
    const records: LogRecord[] = [];
    let next = from;
    try {
      for (let isFull = false; !isFull; ) {
        const taken = this.#cache.take(partition, next, records, bounds);
        if (taken) ({ next, isFull } = taken);
        else if (records.length > 0 && next >= (this.#tail.knownEnd(partition) ?? 0)) break;
        else if (next >= (await this.#fetch(partition, next))) break;
        this.#check(partition);
      }
    } catch (error) {
      if (records.length === 0) throw error; // else the next read meets it
    }
    this.#prefetch(partition, next);
    return records;
  }

  waitBeyond(ends: ReadonlyMap<number, number>, signal: AbortSignal): Promise<void> {
    for (const partition of ends.keys()) this.#check(partition);
    return this.#tail.waitBeyond(ends, signal);
  }

  /**
   * The first offset of an event that is not older than a time (by its stamp); the end of the
   * partition when all are older.
   * @param timeMs milliseconds since 1970
   */
  async offsetSince(partition: number, timeMs: number): Promise<number> {
    this.#check(partition);
    return this.#parts.bounds.offsetSince(partition, timeMs);
  }

  async close(): Promise<void> {
    const { closing, links } = this.#parts;
    if (closing.signal.aborted) return;
    closing.abort();
    await links.close();
    this.#cache.clear();
  }

  /** Fetches into the cache; overlapping calls share one request. Resolves with the log's end. */
  #fetch(partition: number, from: number): Promise<number> {
    const key = `${partition}/${from}`;
    let fetching = this.#fetching.get(key);
    if (!fetching) {
      fetching = this.#fetcher
        .fetch(partition, from)
        .then(({ batches, end }) => {
          this.#cache.add(batches);
          this.#tail.saw(partition, end);
          return end;
        })
        .finally(() => this.#fetching.delete(key));
      this.#fetching.set(key, fetching);
    }
    return fetching;
  }

  /** Gets what comes next while the caller is busy with what it got. */
  #prefetch(partition: number, next: number): void {
    if (this.#fetching.size >= PREFETCHES_MAX) return;
    if (next >= (this.#tail.knownEnd(partition) ?? 0)) return;
    if (this.#cache.bytes > this.#parts.options.cacheBytesMax / 2) return;
    const from = this.#cache.reach(partition, next);
    if (from === undefined || from >= (this.#tail.knownEnd(partition) ?? 0)) return;
    this.#fetch(partition, from).catch(() => {}); // the read that needs it meets the error itself
  }

  #check(partition: number): void {
    if (this.#parts.closing.signal.aborted) throw logClosed();
    if (Number.isInteger(partition) && partition >= 0 && partition < this.info.partitions) return;
    throw new MemplaneError('invalid_request', `There is no partition ${partition}`);
  }
}
