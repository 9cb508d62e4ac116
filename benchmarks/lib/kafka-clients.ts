import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { type NewRecord, partitionOf } from '@memplane/event-log';
import { openKafkaLog, openKafkaReader } from '@memplane/event-log/kafka';
import { Consumer, Producer } from '@platformatic/kafka';
import kafkajs from 'kafkajs';

/** One way to talk to Kafka, told to do what the log needs: acks of all, idempotent, zstd. */
export interface KafkaClient {
  readonly name: string;
  /** Resolves when all are acknowledged. */
  send(records: readonly NewRecord[]): Promise<unknown>;
  close(): Promise<void>;
}

const HEADER = 'memplane';
const TYPE = { 'content-type': 'application/cloudevents+json' };

/** The header that the driver writes, so that all send the same bytes. */
function stampOf(record: NewRecord): string {
  const digests = Buffer.concat([record.idDigest, record.contentDigest]).toString('base64url');
  const hex = record.hlc.toString(16).padStart(16, '0');
  return `1..${hex.slice(0, 12)}-${hex.slice(12)}.${digests}`;
}

export async function openDriver(
  brokers: readonly string[],
  topic: string,
  partitions: number,
): Promise<KafkaClient> {
  const { writer } = await openKafkaLog({
    brokers,
    topic,
    partitionsInitial: partitions,
    deliveryDeadlineMs: 60_000,
    operationDeadlineMs: 60_000,
    requestTimeoutMs: 5_000,
    appendQueueBytesMax: 256 * 1024 * 1024,
    create: { partitions, replicas: 1 },
  });
  return {
    name: 'the driver (transport of @platformatic/kafka)',
    send: (records) => writer.append(records),
    close: () => writer.close(),
  };
}

/** @param isOverlapping whether a send may begin before the last one has ended */
export function openPlatformatic(
  brokers: readonly string[],
  topic: string,
  isOverlapping: boolean,
): KafkaClient {
  const producer = new Producer<string, Buffer, string, string>({
    clientId: 'bench',
    bootstrapBrokers: [...brokers],
    serializers: {
      key: (text) => (text === undefined ? undefined : Buffer.from(text)),
      value: (bytes) => bytes,
      headerKey: (text) => (text === undefined ? undefined : Buffer.from(text)),
      headerValue: (text) => (text === undefined ? undefined : Buffer.from(text)),
    },
    idempotent: true,
    acks: -1,
    compression: 'zstd',
    retries: 60,
    retryDelay: 500,
  });
  let last: Promise<unknown> = Promise.resolve();
  const send = (records: readonly NewRecord[]) =>
    producer.send({
      messages: records.map((record) => ({
        topic,
        key: record.key,
        value: Buffer.from(record.value),
        partition: record.partition,
        timestamp: record.hlc >> 16n,
        headers: { ...TYPE, [HEADER]: stampOf(record) },
      })),
    });
  return {
    name: `@platformatic/kafka, sends ${isOverlapping ? 'overlap' : 'one by one'}`,
    send: (records) => {
      if (isOverlapping) return send(records);
      const sent = last.then(() => send(records));
      last = sent.catch(() => {});
      return sent;
    },
    close: () => producer.close(),
  };
}

const ZSTD = kafkajs.CompressionTypes.ZSTD;
kafkajs.CompressionCodecs[ZSTD] = () => ({
  compress: async (encoder: { buffer: Buffer }) =>
    zstdCompressSync(encoder.buffer, { params: { [constants.ZSTD_c_compressionLevel]: 1 } }),
  decompress: async (bytes: Buffer) => zstdDecompressSync(bytes),
});

function kafkajsOf(brokers: readonly string[]): kafkajs.Kafka {
  return new kafkajs.Kafka({
    clientId: 'bench',
    brokers: [...brokers],
    logLevel: kafkajs.logLevel.NOTHING,
    retry: { retries: 60, initialRetryTime: 100, maxRetryTime: 500 },
  });
}

export async function openKafkajs(brokers: readonly string[], topic: string): Promise<KafkaClient> {
  const producer = kafkajsOf(brokers).producer({
    idempotent: true,
    maxInFlightRequests: 5,
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  return {
    name: 'kafkajs',
    send: (records) =>
      producer.send({
        topic,
        acks: -1,
        compression: ZSTD,
        messages: records.map((record) => ({
          key: record.key,
          value: record.value as Buffer,
          partition: record.partition,
          timestamp: String(record.hlc >> 16n),
          headers: { ...TYPE, [HEADER]: stampOf(record) },
        })),
      }),
    close: () => producer.disconnect(),
  };
}

/** Reads the whole topic once, and gives the number of records. */
export type Drain = (brokers: readonly string[], topic: string, count: number) => Promise<number>;

export const drainByDriver: Drain = async (brokers, topic) => {
  const reader = await openKafkaReader({ brokers, topic });
  const counts = Array.from({ length: reader.info.partitions }, async (_, partition) => {
    const { end } = await reader.bounds(partition);
    let next = 0;
    while (next < end) {
      const records = await reader.read(partition, next, { maxBytes: 1024 * 1024 });
      next = (records.at(-1)?.offset ?? end) + 1;
    }
    return end;
  });
  const ends = await Promise.all(counts);
  await reader.close();
  return ends.reduce((sum, end) => sum + end, 0);
};

export const drainByPlatformatic: Drain = async (brokers, topic, count) => {
  const consumer = new Consumer({
    clientId: 'bench',
    groupId: `bench-${crypto.randomUUID()}`,
    bootstrapBrokers: [...brokers],
    maxBytes: 512 * 1024,
  });
  const stream = await consumer.consume({ topics: [topic], mode: 'earliest', autocommit: false });
  let seen = 0;
  for await (const _ of stream) if (++seen >= count) break;
  await consumer.close(true);
  return seen;
};

export const drainByKafkajs: Drain = async (brokers, topic, count) => {
  const consumer = kafkajsOf(brokers).consumer({ groupId: `bench-${crypto.randomUUID()}` });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  let seen = 0;
  await new Promise<void>((resolve, reject) => {
    consumer
      .run({
        autoCommit: false,
        partitionsConsumedConcurrently: 12,
        eachBatch: async ({ batch }) => {
          seen += batch.messages.length;
          if (seen >= count) resolve();
        },
      })
      .catch(reject);
  });
  await consumer.disconnect();
  return seen;
};

let made = 0;

/** Finished CloudEvents of about 500 bytes, none like another. */
export function someRecords(count: number, partitions: number): NewRecord[] {
  return Array.from({ length: count }, () => {
    const n = made++;
    const key = `user/${(n * 7919) % 10_000}`;
    const hlc = (BigInt(Date.now()) << 16n) | BigInt(n & 0xffff);
    const digest = crypto.getRandomValues(new Uint8Array(32));
    const event = {
      specversion: '1.0',
      id: crypto.randomUUID(),
      source: `agent-${n % 16}`,
      type: n % 2 === 0 ? 'UserMessageSent' : 'AgentReplied',
      subject: key,
      time: new Date().toISOString(),
      datacontenttype: 'application/json',
      hlc: hlc.toString(16),
      partitionkey: key,
      tenant: 'default',
      data: {
        data: {
          text: `Order ${(n * 2_654_435_761) % 1e9} arrived late and the box was open.`,
          turn: n % 40,
        },
        attributes: { lastTurn: n % 40, status: n % 3 === 0 ? 'open' : 'waiting' },
      },
    };
    return {
      partition: partitionOf(key, partitions),
      key,
      value: Buffer.from(JSON.stringify(event)),
      hlc,
      idDigest: digest.subarray(0, 16),
      contentDigest: digest.subarray(16),
    };
  });
}
