import { MemplaneError } from '@memplane/contracts';
import { deleteRecordsV2 } from '@platformatic/kafka';
import type { AppendOptions, LogAdmin, LogBounds, LogInfo, LogWriter, NewRecord } from '../port.ts';
import type { RecentBatch } from '../recent-batch.ts';
import { recordBytesMax } from './batch-encoder.ts';
import { Fetcher } from './fetcher.ts';
import { RECORD_BYTES_MAX } from './options.ts';
import { Producer } from './producer.ts';
import type { LogParts } from './reader.ts';
import { highestHlcOf, recentRecords } from './recent.ts';
import { logClosed, withRetries } from './retry.ts';

/** Appends to a log on Kafka. Several writers, in several processes, may append to one log. */
export class KafkaWriter implements LogWriter {
  readonly info: LogInfo;
  readonly #parts: LogParts;
  readonly #producer: Producer;
  readonly #fetcher: Fetcher;
  #highestHlc = 0n;
  #closing: Promise<void> | undefined;

  /** @param isById whether the broker takes topics by their id when it is produced to */
  constructor(parts: LogParts, isById: boolean) {
    const { options, map, bounds, closing } = parts;
    this.#parts = parts;
    this.info = map.info;
    this.#producer = new Producer(map, options, isById, closing.signal);
    this.#fetcher = new Fetcher(map, options, bounds, closing.signal);
  }

  /** Gets ready to append, and finds the highest stamp. */
  async start(): Promise<void> {
    await this.#producer.start();
    this.#highestHlc = await highestHlcOf(this.#fetcher, this.#parts.bounds, this.info.partitions);
  }

  /** The highest stamp that was in the log when it was opened, or was appended here since. */
  get highestHlc(): bigint {
    return this.#highestHlc;
  }

  /** Bytes that are appended and not acknowledged yet. */
  get waitingBytes(): number {
    return this.#producer.waitingBytes;
  }

  async append(records: readonly NewRecord[], options: AppendOptions = {}): Promise<number[]> {
    if (this.#closing) throw logClosed();
    if (records.length === 0) return [];
    let highest = this.#highestHlc;
    for (const record of records) {
      this.#check(record.partition);
      if (recordBytesMax(record) > RECORD_BYTES_MAX) {
        throw new MemplaneError(
          'event_too_large',
          `A record is larger than ${RECORD_BYTES_MAX} bytes`,
        );
      }
      if (record.hlc > highest) highest = record.hlc;
    }
    const offsets = await this.#producer.append(records, options);
    if (highest > this.#highestHlc) this.#highestHlc = highest;
    return offsets;
  }

  /** Newest first by their stamps: partitions have no order among each other. */
  recent(limit: number): AsyncIterable<RecentBatch> {
    return recentRecords(this.#fetcher, this.#parts.bounds, this.info.partitions, limit);
  }

  async bounds(partition: number): Promise<LogBounds> {
    this.#check(partition);
    return this.#parts.bounds.bounds(partition);
  }

  /** Lets what was appended arrive, then closes. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#producer.drain();
    this.#parts.closing.abort();
    await this.#parts.links.close();
  }

  #check(partition: number): void {
    if (Number.isInteger(partition) && partition >= 0 && partition < this.info.partitions) return;
    throw new MemplaneError('invalid_request', `There is no partition ${partition}`);
  }
}

/** Moves the start of the log's partitions by Kafka's DeleteRecords. */
export class KafkaAdmin implements LogAdmin {
  readonly #parts: LogParts;

  constructor(parts: LogParts) {
    this.#parts = parts;
  }

  async deleteRecordsBefore(partition: number, offset: number): Promise<void> {
    const { map, options, closing } = this.#parts;
    const { start, end } = await this.#parts.bounds.bounds(partition);
    if (!Number.isInteger(offset) || offset > end) {
      throw new MemplaneError(
        'invalid_request',
        `Partition ${partition} ends at offset ${end}; its start can not move to ${offset}`,
      );
    }
    if (offset <= start) return;
    const topics = [
      { name: map.topic, partitions: [{ partitionIndex: partition, offset: BigInt(offset) }] },
    ];
    await withRetries('removing old records', options, closing.signal, async (attempts) => {
      if (attempts > 0) await map.refresh();
      await map.callLeader(
        partition,
        'admin',
        deleteRecordsV2.api,
        topics,
        options.requestTimeoutMs,
      );
    });
  }
}
