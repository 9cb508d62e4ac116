import { randomUUID } from 'node:crypto';
import { describeLogContract, type LogUnderTest } from '../contract.ts';
import { type KafkaLogOptions, openKafkaLog, openKafkaReader } from './index.ts';
import { brokersUnderTest, removeTopic } from './testing.ts';

const brokers = brokersUnderTest();

async function open(options: KafkaLogOptions, partitions: number): Promise<LogUnderTest> {
  const { writer, admin } = await openKafkaLog({ ...options, create: { partitions, replicas: 1 } });
  return {
    writer,
    admin,
    openReader: () => openKafkaReader(options),
    async reopen() {
      await writer.close();
      return open(options, partitions);
    },
    async dispose() {
      await writer.close();
      await removeTopic(options);
    },
  };
}

function create(more: Partial<KafkaLogOptions>) {
  return (partitions: number) =>
    open(
      { brokers, topic: `log-${randomUUID()}`, partitionsInitial: partitions, ...more },
      partitions,
    );
}

describeLogContract('Kafka', { create: create({}), runs: 15 });

describeLogContract('Kafka, tiny batches and fetches, no cache', {
  create: create({
    compression: 'none',
    batchBytesMax: 1024,
    fetchBytesMax: 1024,
    cacheBytesMax: 0,
    produceRequestsMax: 1,
  }),
  runs: 5,
});

describeLogContract('Kafka, gzip', { create: create({ compression: 'gzip' }), runs: 3 });
