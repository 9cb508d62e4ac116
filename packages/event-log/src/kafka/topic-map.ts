import { MemplaneError } from '@memplane/contracts';
import { type API, metadataV12 } from '@platformatic/kafka';
import type { LogInfo } from '../port.ts';
import type { BrokerAddress, BrokerLinks, Lane } from './broker-links.ts';
import { BrokerError, KAFKA } from './errors.ts';
import type { ResolvedKafkaOptions } from './options.ts';

interface Layout {
  readonly topicId: string;
  /** Partition → node id of its leader, −1 while there is none. */
  readonly leaders: readonly number[];
  readonly brokers: ReadonlyMap<number, BrokerAddress>;
}

/** Where the partitions of the topic are, kept up to date as brokers come and go. */
export class TopicMap {
  readonly #options: ResolvedKafkaOptions;
  readonly #links: BrokerLinks;
  readonly #seeds: readonly BrokerAddress[];
  #layout: Layout | undefined;
  #nextSeed = 0;
  #refreshing: Promise<Layout> | undefined;

  constructor(options: ResolvedKafkaOptions, links: BrokerLinks) {
    this.#options = options;
    this.#links = links;
    this.#seeds = options.brokers.map(parseAddress);
  }

  get topic(): string {
    return this.#options.topic;
  }

  /** The topic's id, which is the log's: a topic that is made anew is another log. */
  get topicId(): string {
    if (this.#layout === undefined) throw new Error('the topic is not known yet');
    return this.#layout.topicId;
  }

  get info(): LogInfo {
    const { partitionsInitial } = this.#options;
    const partitions = this.#layout?.leaders.length ?? 0;
    const epoch = Math.log2(partitions / partitionsInitial);
    if (!Number.isInteger(epoch) || epoch < 0) {
      throw new MemplaneError(
        'invalid_request',
        `Topic ${this.topic} has ${partitions} partitions; ` +
          `a log that began with ${partitionsInitial} has these, doubled or not`,
      );
    }
    return { logId: this.topicId, epoch, partitions };
  }

  /** Sends to the leader of a partition. Any failure makes the map look again. */
  async callLeader<A extends unknown[], R>(
    partition: number,
    lane: Lane,
    api: API<A, R>,
    ...args: A
  ): Promise<R> {
    return this.callNode(await this.leaderOf(partition), lane, api, ...args);
  }

  async callNode<A extends unknown[], R>(
    node: number,
    lane: Lane,
    api: API<A, R>,
    ...args: A
  ): Promise<R> {
    const layout = this.#layout ?? (await this.refresh());
    const broker = layout.brokers.get(node);
    if (!broker) {
      await this.refresh();
      throw new Error(`broker ${node} is not there`);
    }
    return this.#links.call(broker, lane, api, ...args);
  }

  /** Sends to any broker: the first that answers, beginning with the one that did last. */
  async callAny<A extends unknown[], R>(api: API<A, R>, ...args: A): Promise<R> {
    const known = [...(this.#layout?.brokers.values() ?? [])];
    const all = [...this.#seeds, ...known];
    let failure: unknown = new Error('there is no broker');
    for (let i = 0; i < all.length; i++) {
      const broker = all[(this.#nextSeed + i) % all.length];
      if (!broker) break;
      try {
        return await this.#links.call(broker, 'admin', api, ...args);
      } catch (error) {
        failure = error;
        this.#nextSeed = (this.#nextSeed + i + 1) % all.length;
      }
    }
    throw failure;
  }

  /** The node id of a partition's leader. */
  async leaderOf(partition: number): Promise<number> {
    const leader = this.#layout?.leaders[partition] ?? -1;
    if (leader >= 0) return leader;
    const fresh = (await this.refresh()).leaders[partition] ?? -1;
    if (fresh < 0) throw new BrokerError(5, `looking for the leader of partition ${partition}`);
    return fresh;
  }

  /** The leader as far as it is known, without a wait; −1 when it is not. */
  knownLeaderOf(partition: number): number {
    return this.#layout?.leaders[partition] ?? -1;
  }

  /**
   * Asks a broker anew; overlapping calls share one request.
   * @throws BrokerError when the topic is not there, MemplaneError `storage_damaged` when another
   * one has taken its name
   */
  refresh(): Promise<Layout> {
    this.#refreshing ??= this.#load().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #load(): Promise<Layout> {
    const answer = await this.callAny(metadataV12.api, [this.topic], false, false);
    const topic = answer.topics.find(({ name }) => name === this.topic);
    if (!topic || topic.errorCode !== KAFKA.none) {
      const number = topic?.errorCode ?? KAFKA.unknownTopicOrPartition;
      throw new BrokerError(number, `looking for topic ${this.topic}`);
    }
    const known = this.#layout?.topicId;
    if (known !== undefined && known !== topic.topicId) {
      throw new MemplaneError(
        'storage_damaged',
        `Topic ${this.topic} was removed and made anew: it is another log now`,
        { extra: { logId: known, found: topic.topicId } },
      );
    }
    const leaders: number[] = [];
    for (const { partitionIndex, leaderId } of topic.partitions) leaders[partitionIndex] = leaderId;
    const layout = {
      topicId: topic.topicId,
      leaders,
      brokers: new Map(answer.brokers.map((broker) => [broker.nodeId, broker])),
    };
    this.#layout = layout;
    return layout;
  }
}

function parseAddress(text: string): BrokerAddress {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  if (!host) throw new MemplaneError('invalid_request', `A broker is host:port, not "${text}"`);
  return { host, port: Number(match?.[3]) };
}
