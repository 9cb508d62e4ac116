import { type NewRecord, partitionOf } from '@memplane/event-log';
import { openKafkaLog } from '@memplane/event-log/kafka';
import { benchEntity, benchEvent } from './bench-event.ts';

const APPEND_RECORDS = 2_000;

function newRecord(n: number, entities: number, partitions: number): NewRecord {
  const { key, value, hlc, digest } = benchEvent(n, benchEntity(n, entities));
  return {
    partition: partitionOf(key, partitions),
    key,
    value,
    hlc,
    idDigest: digest.subarray(0, 16),
    contentDigest: digest.subarray(16),
  };
}

/** Makes a topic, where it is missing, and fills it. */
export async function fillKafkaLog(
  brokers: readonly string[],
  topic: string,
  log: {
    readonly events: number;
    readonly entities: number;
    readonly partitions: number;
    /** Events are numbered from here; 0 unless said otherwise. */
    readonly first?: number;
  },
): Promise<void> {
  const { events, entities, partitions, first = 0 } = log;
  const { writer } = await openKafkaLog({
    brokers,
    topic,
    partitionsInitial: partitions,
    create: { partitions, replicas: 1 },
  });
  for (let at = 0; at < events; at += APPEND_RECORDS) {
    const count = Math.min(APPEND_RECORDS, events - at);
    const records = Array.from({ length: count }, (_, i) =>
      newRecord(first + at + i, entities, partitions),
    );
    await writer.append(records);
  }
  await writer.close();
}
