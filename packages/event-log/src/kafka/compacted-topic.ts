import { MemplaneError } from '@memplane/contracts';
import type { LogRecord } from '../port.ts';
import { decodeBatch } from './batch-decoder.ts';
import { BoundsLookup } from './bounds.ts';
import { BrokerLinks } from './broker-links.ts';
import { BrokerError, KAFKA } from './errors.ts';
import { Fetcher } from './fetcher.ts';
import { type KafkaLogOptions, type ResolvedKafkaOptions, resolveKafkaOptions } from './options.ts';
import { withRetries } from './retry.ts';
import { settingsOf } from './topic.ts';
import { TopicMap } from './topic-map.ts';

/** How soon a topic loses messages that a later one of their key has replaced. */
export interface Compaction {
  /**
   * `max.compaction.lag.ms`: what is older is compacted, once its segment is not the last one any
   * more, which takes another message of its partition. Infinite where nobody has set it.
   */
  readonly lagMsMax: number;
  /** `file.delete.delay.ms`: so long replaced segments stay on disk. */
  readonly fileDeleteDelayMs: number;
}

/** Beyond what a timer or a date can hold it means never: Kafka's own default is 2⁶³ − 1. */
const NEVER_MS = Number.MAX_SAFE_INTEGER;

/** A topic that is compacted by key, for whoever looks what it still has. Close it when done. */
export class CompactedTopic implements AsyncDisposable {
  readonly #options: ResolvedKafkaOptions;
  readonly #links: BrokerLinks;
  readonly #map: TopicMap;
  readonly #closing = new AbortController();

  private constructor(options: ResolvedKafkaOptions) {
    this.#options = options;
    this.#links = new BrokerLinks(options);
    this.#map = new TopicMap(options, this.#links);
  }

  /**
   * @returns undefined where there is no such topic
   * @throws MemplaneError `dependency_unavailable`
   */
  static async open(options: KafkaLogOptions): Promise<CompactedTopic | undefined> {
    const topic = new CompactedTopic(resolveKafkaOptions(options));
    try {
      if (await topic.#isThere()) return topic;
    } catch (error) {
      await topic[Symbol.asyncDispose]();
      throw error;
    }
    await topic[Symbol.asyncDispose]();
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#links.close();
  }

  /** @throws MemplaneError `dependency_unavailable` */
  async compaction(): Promise<Compaction> {
    const settings = await this.#retrying('reading the settings of a topic', () =>
      settingsOf(this.#map),
    );
    const isCompacted = settings.get('cleanup.policy')?.split(',').includes('compact') === true;
    const lagMs = Number(settings.get('max.compaction.lag.ms'));
    const isBounded = isCompacted && lagMs > 0 && lagMs < NEVER_MS;
    return {
      lagMsMax: isBounded ? lagMs : Number.POSITIVE_INFINITY,
      fileDeleteDelayMs: Number(settings.get('file.delete.delay.ms')),
    };
  }

  /**
   * All records that there are when it begins, one partition after the other, as their leaders have
   * them.
   * @throws MemplaneError `dependency_unavailable`, `storage_damaged`
   */
  async *records(): AsyncGenerator<readonly LogRecord[]> {
    const { signal } = this.#closing;
    const lookup = new BoundsLookup(this.#map, this.#options, signal);
    const fetcher = new Fetcher(this.#map, this.#options, lookup, signal);
    const { leaders } = await this.#map.refresh();
    for (let partition = 0; partition < leaders.length; partition++) {
      const { start, end } = await lookup.bounds(partition);
      for (let next = start; next < end; ) {
        const { batches } = await fetcher.fetch(partition, next);
        // A batch may begin before what was asked for; compaction leaves gaps behind one.
        const newer = batches.filter((batch) => batch.next > next);
        if (newer.length === 0) throw unread(this.#map.topic, partition, next);
        for (const batch of newer) {
          yield decodeBatch(batch);
          next = batch.next;
        }
      }
    }
  }

  #isThere(): Promise<boolean> {
    return this.#retrying('looking for a topic', async () => {
      try {
        await this.#map.refresh();
        return true;
      } catch (error) {
        const isMissing =
          error instanceof BrokerError && error.number === KAFKA.unknownTopicOrPartition;
        if (isMissing) return false;
        throw error;
      }
    });
  }

  #retrying<T>(doing: string, attempt: () => Promise<T>): Promise<T> {
    return withRetries(doing, this.#options, this.#closing.signal, attempt);
  }
}

/** To take it for the end would mean to have seen all. */
function unread(topic: string, partition: number, offset: number): MemplaneError {
  return new MemplaneError(
    'dependency_unavailable',
    `Topic ${topic} has an end beyond offset ${offset} of partition ${partition}, and nothing there.`,
    { extra: { topic, partition, offset }, retryAfterMs: 1_000 },
  );
}
