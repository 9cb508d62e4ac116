import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { firstHlcOf } from '@memplane/clock';
import { CompactedTopic, openKafkaLog } from './index.ts';
import { brokersUnderTest, removeTopic, setUp } from './testing.ts';

const options = { brokers: brokersUnderTest(), topic: `views-${randomUUID()}` };
const PARTITIONS = 3;
const RECORDS = 90;

after(() => removeTopic(options));

test('a topic is read from end to end, in fetches smaller than it, and tells how soon it forgets', async () => {
  const create = { partitions: PARTITIONS, replicas: 1 };
  const { writer } = await openKafkaLog({ ...options, partitionsInitial: PARTITIONS, create });
  const digest = new Uint8Array(16);
  const record = (i: number) => ({
    partition: i % PARTITIONS,
    key: `user/${i}`,
    value: Buffer.from(JSON.stringify({ n: i })),
    hlc: firstHlcOf(Date.now()),
    idDigest: digest,
    contentDigest: digest,
  });
  for (let i = 0; i < RECORDS; i++) await writer.append([record(i)]);
  await writer.close();

  await using topic = await CompactedTopic.open({ ...options, fetchBytesMax: 1024 });
  assert.ok(topic);
  const found = (await Array.fromAsync(topic.records())).flat();
  const keys = found.map(({ key }) => key);
  assert.deepEqual(
    keys.toSorted(),
    Array.from({ length: RECORDS }, (_, i) => `user/${i}`).toSorted(),
  );
  assert.equal(
    (await topic.compaction()).lagMsMax,
    Number.POSITIVE_INFINITY,
    'it is not compacted',
  );
  const { topic: name } = options;
  await setUp(options, 'topic', name, { 'cleanup.policy': 'compact' });
  assert.equal((await topic.compaction()).lagMsMax, Number.POSITIVE_INFINITY, 'nothing bounds it');
  const soon = { 'max.compaction.lag.ms': '2000', 'file.delete.delay.ms': '300' };
  await setUp(options, 'topic', name, soon);
  assert.deepEqual(await topic.compaction(), { lagMsMax: 2000, fileDeleteDelayMs: 300 });
});

test('a topic that is not there is none', async () => {
  assert.equal(await CompactedTopic.open({ ...options, topic: `no-${randomUUID()}` }), undefined);
});
