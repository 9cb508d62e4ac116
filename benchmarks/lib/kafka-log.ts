import { createHash } from 'node:crypto';
import { firstHlcOf, formatHlc } from '@memplane/clock';
import { type NewRecord, partitionOf } from '@memplane/event-log';
import { openKafkaLog } from '@memplane/event-log/kafka';

const START_MS = 1_790_000_000_000;
const APPEND_RECORDS = 2_000;

/** A CloudEvent as event-ingest writes it: about 600 bytes, a new id each. */
export function benchRecord(n: number, entities: number, partitions: number): NewRecord {
  const entity = `user/${(n * 7919) % entities}`;
  const hlc = firstHlcOf(START_MS + n);
  const id = createHash('md5').update(String(n)).digest('hex');
  const digest = createHash('sha256').update(id).digest();
  const event = {
    specversion: '1.0',
    hlc: formatHlc(hlc),
    id,
    type: 'UserMessageSent',
    source: 'bench',
    subject: entity,
    time: new Date(START_MS + n).toISOString(),
    datacontenttype: 'application/json',
    tenant: 'default',
    partitionkey: entity,
    zone: 'eventual',
    digest: digest.toString('base64url'),
    data: {
      data: { text: 'x'.repeat(250) },
      attributes: { turn: n % 97, channel: n % 3 === 0 ? 'email' : 'chat' },
    },
  };
  return {
    partition: partitionOf(entity, partitions),
    key: entity,
    value: Buffer.from(JSON.stringify(event)),
    hlc,
    idDigest: digest.subarray(0, 16),
    contentDigest: digest.subarray(16),
  };
}

/** Makes a topic and fills it. */
export async function fillKafkaLog(
  brokers: readonly string[],
  topic: string,
  log: { readonly events: number; readonly entities: number; readonly partitions: number },
): Promise<void> {
  const { events, entities, partitions } = log;
  const { writer } = await openKafkaLog({
    brokers,
    topic,
    partitionsInitial: partitions,
    create: { partitions, replicas: 1 },
  });
  for (let at = 0; at < events; at += APPEND_RECORDS) {
    const count = Math.min(APPEND_RECORDS, events - at);
    const records = Array.from({ length: count }, (_, i) =>
      benchRecord(at + i, entities, partitions),
    );
    await writer.append(records);
  }
  await writer.close();
}
