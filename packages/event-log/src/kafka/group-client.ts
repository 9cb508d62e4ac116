import {
  consumerGroupDescribeV0,
  consumerGroupHeartbeatV1,
  describeConfigsV4,
  findCoordinatorV6,
  offsetCommitV9,
} from '@platformatic/kafka';
import type { Owner } from '../assignment.ts';
import type { BrokerAddress } from './broker-links.ts';
import { BrokerError, KAFKA } from './errors.ts';
import type { LogParts } from './reader.ts';

const GROUP_RESOURCE = 32;
const GROUP_KEY = 0;
const SESSION_TIMEOUT = 'consumer.session.timeout.ms';
const LEAVE_EPOCH = -1;

export interface Heartbeat {
  readonly memberId: string;
  readonly memberEpoch: number;
  /** Told when joining and when it has changed; null: as before. */
  readonly owned: readonly number[] | null;
  readonly isJoining: boolean;
}

export interface HeartbeatAnswer {
  readonly memberEpoch: number;
  readonly intervalMs: number;
  /** What the group wants this member to own, as far as others have let it go; undefined: as before. */
  readonly target: readonly number[] | undefined;
}

/** The requests of a consumer group's member (the protocol of KIP-848, Kafka 4's own). */
export class GroupClient {
  readonly #parts: LogParts;
  readonly #groupId: string;
  readonly #revokeTimeoutMs: number;
  #coordinator: BrokerAddress | undefined;

  constructor(parts: LogParts, groupId: string, revokeTimeoutMs: number) {
    this.#parts = parts;
    this.#groupId = groupId;
    this.#revokeTimeoutMs = revokeTimeoutMs;
  }

  /** How long a silent member keeps its partitions, as the brokers have it, in milliseconds. */
  async sessionTimeoutMs(): Promise<number> {
    const answer = await this.#parts.map.callAny(describeConfigsV4.api, [
      { resourceType: GROUP_RESOURCE, resourceName: this.#groupId, configurationKeys: null },
    ]);
    const result = answer.results[0];
    if (!result || result.errorCode !== KAFKA.none) {
      throw new BrokerError(result?.errorCode ?? -1, `reading the settings of ${this.#groupId}`);
    }
    const value = Number(result.configs.find(({ name }) => name === SESSION_TIMEOUT)?.value);
    if (!(value > 0)) throw new Error(`the brokers do not tell ${SESSION_TIMEOUT}`);
    return value;
  }

  async heartbeat({
    memberId,
    memberEpoch,
    owned,
    isJoining,
  }: Heartbeat): Promise<HeartbeatAnswer> {
    const { map } = this.#parts;
    const answer = await this.#call((broker) =>
      this.#parts.links.call(
        broker,
        'admin',
        consumerGroupHeartbeatV1.api,
        this.#groupId,
        memberId,
        memberEpoch,
        null,
        null,
        isJoining ? this.#revokeTimeoutMs : -1,
        isJoining ? [map.topic] : null,
        null,
        null,
        owned === null
          ? null
          : owned.length === 0
            ? []
            : [{ topicId: map.topicId, partitions: [...owned] }],
      ),
    );
    return {
      memberEpoch: answer.memberEpoch,
      intervalMs: answer.heartbeatIntervalMs,
      target: answer.assignment?.topicPartitions
        .filter(({ topicId }) => topicId === map.topicId)
        .flatMap(({ partitions }) => partitions),
    };
  }

  /** All members, as the group knows them. The client id is what a member calls itself. */
  async members(): Promise<Owner[]> {
    const answer = await this.#call((broker) =>
      this.#parts.links.call(broker, 'admin', consumerGroupDescribeV0.api, [this.#groupId], false),
    );
    const group = answer.groups[0];
    if (!group || group.errorCode !== KAFKA.none) {
      throw new BrokerError(group?.errorCode ?? -1, `describing the group ${this.#groupId}`);
    }
    const { topicId } = this.#parts.map;
    return group.members.map(({ clientId, assignment }) => ({
      instance: clientId,
      partitions: assignment.topicPartitions
        .filter((topic) => topic.topicId === topicId)
        .flatMap(({ partitions }) => partitions),
    }));
  }

  async leave(memberId: string): Promise<void> {
    await this.heartbeat({ memberId, memberEpoch: LEAVE_EPOCH, owned: null, isJoining: false });
  }

  /** Leaves offsets with the group: for lag monitors, and so that the group outlasts its members. */
  async commit(
    memberId: string,
    memberEpoch: number,
    offsets: ReadonlyMap<number, number>,
  ): Promise<void> {
    const partitions = [...offsets].map(([partitionIndex, offset]) => ({
      partitionIndex,
      committedOffset: BigInt(offset),
      committedLeaderEpoch: -1,
    }));
    const topics = [{ name: this.#parts.map.topic, partitions }];
    await this.#call((broker) =>
      this.#parts.links.call(
        broker,
        'admin',
        offsetCommitV9.api,
        this.#groupId,
        memberEpoch,
        memberId,
        null,
        topics,
      ),
    );
  }

  /** Sends to the group's coordinator; any failure makes it be looked for again. */
  async #call<T>(send: (coordinator: BrokerAddress) => Promise<T>): Promise<T> {
    this.#coordinator ??= await this.#find();
    try {
      return await send(this.#coordinator);
    } catch (error) {
      this.#coordinator = undefined;
      throw error;
    }
  }

  async #find(): Promise<BrokerAddress> {
    const answer = await this.#parts.map.callAny(findCoordinatorV6.api, GROUP_KEY, [this.#groupId]);
    const found = answer.coordinators[0];
    if (!found || found.errorCode !== KAFKA.none) {
      throw new BrokerError(found?.errorCode ?? -1, `looking for the group ${this.#groupId}`);
    }
    return found;
  }
}
