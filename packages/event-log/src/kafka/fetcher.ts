import { type FetchAnswer, fetchBytes } from './apis.ts';
import { type RawBatch, splitBatches } from './batch-decoder.ts';
import type { BoundsLookup } from './bounds.ts';
import { BrokerError, damagedBatch, expired, KAFKA } from './errors.ts';
import type { ResolvedKafkaOptions } from './options.ts';
import { withRetries } from './retry.ts';
import type { TopicMap } from './topic-map.ts';

const DOING = 'reading the log';

export interface Fetched {
  readonly batches: readonly RawBatch[];
  /** The end of what is durable, as the broker knew it. */
  readonly end: number;
}

/** Fetches batches of one partition from an offset on, at once. */
export class Fetcher {
  readonly #map: TopicMap;
  readonly #options: ResolvedKafkaOptions;
  readonly #bounds: BoundsLookup;
  readonly #closing: AbortSignal;

  constructor(
    map: TopicMap,
    options: ResolvedKafkaOptions,
    bounds: BoundsLookup,
    closing: AbortSignal,
  ) {
    this.#map = map;
    this.#options = options;
    this.#bounds = bounds;
    this.#closing = closing;
  }

  /**
   * @throws MemplaneError `history_expired` below the start, `storage_damaged` beyond the end (the
   * log has lost records) or when the stored bytes are cut, `dependency_unavailable`
   */
  fetch(partition: number, from: number, bytesMax = this.#options.fetchBytesMax): Promise<Fetched> {
    return withRetries(DOING, this.#options, this.#closing, async (attempts) => {
      if (attempts > 0) await this.#map.refresh();
      const answer = await this.#ask(partition, from, bytesMax);
      if (answer.error === KAFKA.offsetOutOfRange) return this.#outOfRange(partition, from);
      if (answer.error !== KAFKA.none) throw new BrokerError(answer.error, DOING);
      const batches = splitBatches(partition, answer.bytes);
      if (batches.length === 0 && answer.bytes.length > 0) {
        throw damagedBatch('A batch is cut off', partition, from);
      }
      return { batches, end: answer.end };
    });
  }

  async #ask(partition: number, offset: number, bytesMax: number): Promise<FetchAnswer> {
    const { error, parts } = await this.#map.callLeader(partition, 'read', fetchBytes, {
      topicId: this.#map.topicId,
      waitMs: 0,
      bytesMax,
      parts: [{ partition, offset, bytesMax }],
    });
    if (error !== KAFKA.none) throw new BrokerError(error, DOING);
    const answer = parts.find((part) => part.partition === partition);
    if (!answer) throw new Error('the broker left a partition out');
    return answer;
  }

  async #outOfRange(partition: number, from: number): Promise<Fetched> {
    const { start, end } = await this.#bounds.bounds(partition);
    if (from < start) throw expired(partition, from, start);
    if (from > end) {
      throw damagedBatch(`The log ends at ${end}, before what was read`, partition, from);
    }
    return { batches: [], end };
  }
}
