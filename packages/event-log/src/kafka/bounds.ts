import { listOffsetsV8 } from '@platformatic/kafka';
import type { LogBounds } from '../port.ts';
import { BrokerError } from './errors.ts';
import type { ResolvedKafkaOptions } from './options.ts';
import { withRetries } from './retry.ts';
import type { TopicMap } from './topic-map.ts';

const LATEST = -1n;
const EARLIEST = -2n;
const DOING = 'asking for the bounds of the log';

/**
 * The bounds of partitions, as they are when asked. Calls that come while a request is under way
 * share the next one, never the one that has left: a bound is never older than its question.
 */
export class BoundsLookup {
  readonly #map: TopicMap;
  readonly #options: ResolvedKafkaOptions;
  readonly #closing: AbortSignal;
  #next: { partitions: Set<number>; answer: Promise<Map<number, LogBounds>> } | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(map: TopicMap, options: ResolvedKafkaOptions, closing: AbortSignal) {
    this.#map = map;
    this.#options = options;
    this.#closing = closing;
  }

  async bounds(partition: number): Promise<LogBounds> {
    if (this.#next === undefined) {
      const partitions = new Set<number>();
      const answer = this.#last.then(() => {
        this.#next = undefined;
        return this.#ask([...partitions]);
      });
      this.#last = answer.catch(() => {});
      this.#next = { partitions, answer };
    }
    this.#next.partitions.add(partition);
    const found = (await this.#next.answer).get(partition);
    if (!found) throw new Error('the broker left a partition out');
    return found;
  }

  /**
   * The first offset whose record's time is at or after a time; the end when there is none.
   * @param timeMs milliseconds since 1970
   */
  offsetSince(partition: number, timeMs: number): Promise<number> {
    return this.#retrying(async () => {
      const time = BigInt(Math.max(0, Math.trunc(timeMs)));
      const found = (await this.#list([partition], time)).get(partition) ?? -1;
      return found >= 0 ? found : ((await this.#list([partition], LATEST)).get(partition) ?? 0);
    });
  }

  #ask(partitions: readonly number[]): Promise<Map<number, LogBounds>> {
    return this.#retrying(async () => {
      const [starts, ends] = await Promise.all([
        this.#list(partitions, EARLIEST),
        this.#list(partitions, LATEST),
      ]);
      return new Map(
        partitions.map((p) => [p, { start: starts.get(p) ?? 0, end: ends.get(p) ?? 0 }]),
      );
    });
  }

  #retrying<T>(attempt: () => Promise<T>): Promise<T> {
    return withRetries(DOING, this.#options, this.#closing, async (attempts) => {
      if (attempts > 0) await this.#map.refresh();
      return attempt();
    });
  }

  async #list(partitions: readonly number[], timestamp: bigint): Promise<Map<number, number>> {
    const byLeader = new Map<number, number[]>();
    for (const partition of partitions) {
      const leader = await this.#map.leaderOf(partition);
      byLeader.set(leader, [...(byLeader.get(leader) ?? []), partition]);
    }
    const offsets = new Map<number, number>();
    await Promise.all(
      [...byLeader].map(async ([leader, own]) => {
        const parts = own.map((partitionIndex) => ({
          partitionIndex,
          currentLeaderEpoch: -1,
          timestamp,
        }));
        const topics = [{ name: this.#map.topic, partitions: parts }];
        const answer = await this.#map.callNode(leader, 'admin', listOffsetsV8.api, -1, 0, topics);
        for (const { partitionIndex, errorCode, offset } of answer.topics[0]?.partitions ?? []) {
          if (errorCode !== 0) throw new BrokerError(errorCode, DOING);
          offsets.set(partitionIndex, Number(offset));
        }
      }),
    );
    return offsets;
  }
}
