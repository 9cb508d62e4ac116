import { MemplaneError } from '@memplane/contracts';
import { createTopicsV7, describeConfigsV4 } from '@platformatic/kafka';
import { BrokerError, KAFKA } from './errors.ts';
import { RECORD_BYTES_MAX } from './options.ts';
import type { TopicMap } from './topic-map.ts';

/** How the topic is made where it is not there yet. */
export interface NewTopic {
  readonly partitions: number;
  readonly replicas: number;
  readonly segmentBytes?: number;
}

export const NEW_TOPIC_DEFAULTS = {
  partitions: 12,
  replicas: 3,
  segment_bytes: 1024 ** 3,
} as const;

const TIMEOUT_MS = 10_000;
const TOPIC_RESOURCE = 2;
/** A batch holds one record of the largest size, or several that are smaller. */
const MESSAGE_BYTES_MAX = RECORD_BYTES_MAX + 64 * 1024;

/**
 * Makes the topic, unless it is there. Its retention is off: only the owner of the archive moves the
 * log's start. Stamps are the events' own, so that a time finds its offset.
 */
export async function makeTopic(map: TopicMap, topic: NewTopic): Promise<void> {
  const { partitions, replicas, segmentBytes = NEW_TOPIC_DEFAULTS.segment_bytes } = topic;
  const configs = {
    'cleanup.policy': 'delete',
    'retention.ms': '-1',
    'retention.bytes': '-1',
    'segment.bytes': String(segmentBytes),
    'min.insync.replicas': replicas >= 3 ? '2' : '1',
    'unclean.leader.election.enable': 'false',
    'message.timestamp.type': 'CreateTime',
    'max.message.bytes': String(MESSAGE_BYTES_MAX),
    'compression.type': 'producer',
  };
  const request = {
    name: map.topic,
    numPartitions: partitions,
    replicationFactor: replicas,
    assignments: [],
    configs: Object.entries(configs).map(([name, value]) => ({ name, value })),
  };
  try {
    await map.callAny(createTopicsV7.api, [request], TIMEOUT_MS, false);
  } catch (error) {
    if (error instanceof BrokerError && error.number === KAFKA.topicAlreadyExists) return;
    throw error;
  }
}

/** The settings of a topic by Kafka's names, those of its brokers where it has none of its own. */
export async function settingsOf(map: TopicMap): Promise<ReadonlyMap<string, string | null>> {
  const answer = await map.callAny(describeConfigsV4.api, [
    { resourceType: TOPIC_RESOURCE, resourceName: map.topic, configurationKeys: null },
  ]);
  const result = answer.results[0];
  if (!result || result.errorCode !== KAFKA.none) {
    throw new BrokerError(result?.errorCode ?? -1, `reading the settings of topic ${map.topic}`);
  }
  return new Map(result.configs.map(({ name, value }) => [name, value ?? null]));
}

/**
 * Looks whether an existing topic can hold the log.
 * @throws MemplaneError `invalid_request` naming the setting that would lose or refuse events
 */
export async function checkTopic(map: TopicMap): Promise<void> {
  const found = await settingsOf(map);
  const refuse = (name: string, wanted: string): never => {
    throw new MemplaneError(
      'invalid_request',
      `Topic ${map.topic} can not hold the log: ${name} is ${found.get(name)}, not ${wanted}`,
    );
  };
  if (found.get('cleanup.policy') !== 'delete') refuse('cleanup.policy', 'delete');
  if (found.get('message.timestamp.type') !== 'CreateTime') {
    refuse('message.timestamp.type', 'CreateTime');
  }
  if (Number(found.get('max.message.bytes')) < MESSAGE_BYTES_MAX) {
    refuse('max.message.bytes', `${MESSAGE_BYTES_MAX} or more`);
  }
}
