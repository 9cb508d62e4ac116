import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { openKafkaLog, openKafkaReader, openNewKafkaLog } from './index.ts';
import { brokersUnderTest, removeTopic } from './testing.ts';

const STARTS = [0, 7, 12_345];
const record = {
  ...{ key: 'user/1', value: Buffer.from('{}'), hlc: 5n },
  ...{ idDigest: new Uint8Array(16), contentDigest: new Uint8Array(16) },
};

test('a log is written anew at the offsets that it had, into a topic of its shape alone', async () => {
  const options = {
    brokers: brokersUnderTest(),
    ...{ topic: `log-${randomUUID()}`, partitionsInitial: STARTS.length },
  };
  const made = await openKafkaLog({
    ...options,
    create: { partitions: STARTS.length, replicas: 1 },
  });
  await made.writer.close();
  const refused = (words: RegExp) => ({ code: 'invalid_request', message: words });
  await assert.rejects(
    openNewKafkaLog(options, { epoch: 0, starts: [0] }),
    refused(/has 3 partitions, and 1 are needed/),
  );
  await assert.rejects(
    openNewKafkaLog(options, { epoch: 1, starts: STARTS }),
    refused(/is of epoch 0, and 1 is needed/),
  );
  const writer = await openNewKafkaLog(options, { epoch: 0, starts: STARTS });
  try {
    for (const [partition, start] of STARTS.entries()) {
      assert.deepEqual(await writer.bounds(partition), { start, end: start });
      assert.deepEqual(await writer.append([{ ...record, partition }]), [start]);
    }
    const reader = await openKafkaReader(options);
    const [first] = await reader.read(2, 12_345, { maxBytes: 1_000 });
    assert.deepEqual([first?.key, first?.offset], ['user/1', 12_345]);
    await reader.close();
  } finally {
    await writer.close();
  }
  await assert.rejects(
    openNewKafkaLog(options, { epoch: 0, starts: STARTS }),
    refused(/has records already/),
  );
  await removeTopic(options);
});
