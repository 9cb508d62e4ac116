import { apiVersionsV3 } from '@platformatic/kafka';
import { BoundsLookup } from './bounds.ts';
import { BrokerLinks } from './broker-links.ts';
import { BrokerError, KAFKA } from './errors.ts';
import { type GroupOptions, KafkaGroupAssignment } from './group-assignment.ts';
import { type KafkaLogOptions, resolveKafkaOptions } from './options.ts';
import { KafkaReader, type LogParts } from './reader.ts';
import { withRetries } from './retry.ts';
import { checkTopic, makeTopic, type NewTopic } from './topic.ts';
import { TopicMap } from './topic-map.ts';
import { KafkaAdmin, KafkaWriter } from './writer.ts';

/** Makes the topic when it is not there; an existing one is only looked at. */
export interface OpenKafkaLogOptions extends KafkaLogOptions {
  readonly create?: NewTopic;
}

const PRODUCE_KEY = 0;
const PRODUCE_BY_ID = 13;

/**
 * Opens a log on Kafka for appending. The log's id is the topic's, which Kafka draws at random when
 * a topic is made: one that was removed and made anew is another log, and is never taken for it.
 * @throws MemplaneError `dependency_unavailable` when no broker answers in time,
 * `invalid_request` when the topic's settings would lose or refuse events
 */
export async function openKafkaLog(
  options: OpenKafkaLogOptions,
): Promise<{ writer: KafkaWriter; admin: KafkaAdmin }> {
  const parts = await openParts(options);
  try {
    const isById = await withRetries('opening the log', parts.options, parts.closing.signal, () =>
      takesTopicIds(parts.map),
    );
    const writer = new KafkaWriter(parts, isById);
    await writer.start();
    return { writer, admin: new KafkaAdmin(parts) };
  } catch (error) {
    parts.closing.abort();
    await parts.links.close();
    throw error;
  }
}

/** Opens a log on Kafka for reading. */
export async function openKafkaReader(options: OpenKafkaLogOptions): Promise<KafkaReader> {
  return new KafkaReader(await openParts(options));
}

/** Opens a log on Kafka for the one who moves its start. Close it when done. */
export async function openKafkaAdmin(
  options: OpenKafkaLogOptions,
): Promise<KafkaAdmin & { close(): Promise<void> }> {
  const parts = await openParts(options);
  return Object.assign(new KafkaAdmin(parts), {
    close: async () => {
      parts.closing.abort();
      await parts.links.close();
    },
  });
}

/** Joins the owners of a log's partitions; see {@link KafkaGroupAssignment}. Close it when done. */
export async function openKafkaAssignment(
  options: OpenKafkaLogOptions & GroupOptions,
): Promise<KafkaGroupAssignment> {
  return new KafkaGroupAssignment(await openParts(options), options);
}

async function openParts(options: OpenKafkaLogOptions): Promise<LogParts> {
  const resolved = resolveKafkaOptions(options);
  const links = new BrokerLinks(resolved);
  const map = new TopicMap(resolved, links);
  const closing = new AbortController();
  try {
    await withRetries('opening the log', resolved, closing.signal, async () => {
      try {
        await map.refresh();
      } catch (error) {
        const isMissing =
          error instanceof BrokerError && error.number === KAFKA.unknownTopicOrPartition;
        if (!isMissing || !options.create) throw error;
        await makeTopic(map, options.create);
        await map.refresh();
      }
      await checkTopic(map);
    });
    const bounds = new BoundsLookup(map, resolved, closing.signal);
    const parts = { options: resolved, links, map, bounds, closing };
    void map.info; // refuses a number of partitions that no log has
    return parts;
  } catch (error) {
    closing.abort();
    await links.close();
    throw error;
  }
}

async function takesTopicIds(map: TopicMap): Promise<boolean> {
  const { apiKeys } = await map.callAny(apiVersionsV3.api, 'memplane', '1');
  const produce = apiKeys.find(({ apiKey }) => apiKey === PRODUCE_KEY);
  return (produce?.maxVersion ?? 0) >= PRODUCE_BY_ID;
}
