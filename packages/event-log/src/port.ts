import { MemplaneError } from '@memplane/contracts';
import type { Lineage } from './lineage.ts';
import type { RecentBatch } from './recent-batch.ts';

/** Identity and shape of a log. A new generation of the same data gets a new `logId`. */
export interface LogInfo {
  /** UUID, made when the log is created. */
  readonly logId: string;
  /** Raised when the number of partitions grows. */
  readonly epoch: number;
  readonly partitions: number;
  /** How its partitions came about; absent: it never grew. */
  readonly lineage?: Lineage;
}

/** A record to append. */
export interface NewRecord {
  readonly partition: number;
  /** The partition key, UTF-8. */
  readonly key: string;
  /** The value as consumers see it (a CloudEvent in JSON). */
  readonly value: Uint8Array;
  /** The record's HLC stamp, see `@memplane/clock`. */
  readonly hlc: bigint;
  /** 16 bytes that name (tenant, entity, event id); kept so that a writer can find recent ids. */
  readonly idDigest: Uint8Array;
  /** The first 16 bytes of the content digest, to tell a repetition from a reused id. */
  readonly contentDigest: Uint8Array;
}

export interface LogRecord {
  readonly partition: number;
  readonly offset: number;
  readonly key: string;
  readonly value: Buffer;
  readonly hlc: bigint;
}

export interface LogBounds {
  /** The first offset that can be read. */
  readonly start: number;
  /** The offset that the next record gets; everything below it is durable. */
  readonly end: number;
}

export interface LogReadOptions {
  /** Stop before the sum of value bytes passes this; at least one record is returned. */
  readonly maxBytes: number;
  readonly maxRecords?: number;
}

/** The reading half of a log. Only durable records are ever seen. */
export interface LogReader {
  /** As it is at this moment: a log may grow while it is read. */
  readonly info: LogInfo;
  bounds(partition: number): Promise<LogBounds>;
  /**
   * Reads records in order from `from` (inclusive); empty at the end of the log. Before the offset
   * at which a partition was split off, they are its parent's, among them some that did not come
   * along (see `isForeign`).
   * @throws MemplaneError `history_expired` below the start, `storage_damaged` (with the position)
   * for a record whose checksum does not hold.
   */
  read(partition: number, from: number, options: LogReadOptions): Promise<LogRecord[]>;
  /**
   * The first offset of a record that is not older than a time, by its stamp; the end when all are
   * older. The stamps of a partition rise.
   * @param timeMs whole milliseconds since 1970
   */
  offsetSince(partition: number, timeMs: number): Promise<number>;
  /**
   * Resolves as soon as any of the given partitions has an end beyond the given offset, at once
   * when one has already; rejects with the signal's reason when it is aborted.
   * @param ends partition → end offset that the caller has already seen
   */
  waitBeyond(ends: ReadonlyMap<number, number>, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/**
 * The records were not stored within the log's deadline for it, and will not be: their stamps are too
 * old by now. They may be appended anew, with new stamps.
 */
export class LateAppendError extends MemplaneError {
  constructor(deadlineMs: number) {
    const message = `The storage did not take the events up within ${deadlineMs} ms.`;
    super('storage_unavailable', message, { retryAfterMs: 1_000, extra: { deadlineMs } });
  }
}

export interface AppendOptions {
  /**
   * All records, of one partition, become one batch: readable all at once, without others between
   * them. For at most 1 MiB.
   */
  readonly together?: boolean;
}

/** The writing half. Appends of one process that overlap share their sync (group commit). */
export interface LogWriter {
  /** As it is at this moment. */
  readonly info: LogInfo;
  /** Present while the log grows: what is to be appended waits for it, and finds its partition then. */
  readonly growing?: Promise<void> | undefined;
  /**
   * Appends all records and resolves once they are durable, with their offsets in the same order.
   * Records of one partition keep their order, also across calls made one after the other.
   * @throws MemplaneError `storage_full`, `storage_unavailable` (nothing acknowledged; as
   * {@link LateAppendError}: nothing stored),
   * `overloaded` when more than the configured bytes are already waiting.
   */
  append(records: readonly NewRecord[], options?: AppendOptions): Promise<number[]>;
  /** The newest records, newest first, at most `limit`, in batches: there may be many. */
  recent(limit: number): AsyncIterable<RecentBatch>;
  /** The highest stamp that the log holds, 0n when empty. */
  readonly highestHlc: bigint;
  bounds(partition: number): Promise<LogBounds>;
  close(): Promise<void>;
}

/** Growth. Only the owner of the plane calls it. */
export interface LogGrowth {
  /**
   * Doubles the partitions: the epoch rises, every partition is split at its end. Appends wait, those
   * under way are durable before. Resolves once the new shape is durable.
   * @throws MemplaneError `invalid_request` beyond the most partitions, `storage_full`,
   * `storage_unavailable`: then the log is as before.
   */
  grow(): Promise<LogInfo>;
}

/** Removal from the front. Only the owner of the archive calls it. */
export interface LogAdmin {
  /** Makes `offset` the first readable one; space is given back when whole segments are free. */
  deleteRecordsBefore(partition: number, offset: number): Promise<void>;
}
