import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  Admin,
  Consumer,
  Producer,
  stringDeserializers,
  stringSerializers,
} from '@platformatic/kafka';
import { type KafkaPlan, startKafka } from './kafka.ts';
import { checkKafka } from './kafka-check.ts';
import { ServerProcess } from './process.ts';

let dir: string;
let server: ServerProcess;
let plan: KafkaPlan;

before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'memplane-stack-'));
  ({ server, plan } = await startKafka({ dir }));
});
after(async () => {
  await server?.kill();
  rmSync(dir, { recursive: true, force: true });
});

test('a port in use is named, and nothing is started', async () => {
  await assert.rejects(
    ServerProcess.start({ ...plan, name: 'second' }),
    new RegExp(`second: port .*${plan.port}.* is in use`),
  );
  await server.ready(1_000);
});

test('a broker keeps its data through kill -9, and pauses', async (t) => {
  t.diagnostic(`ready after ${Math.round(server.readyAfterMs)} ms`);
  const bootstrapBrokers = [...plan.brokers];

  const admin = new Admin({ clientId: 'test', bootstrapBrokers });
  await admin.createTopics({ topics: ['kept'], partitions: 1, replicas: 1 });
  await admin.close();
  const producer = new Producer({
    clientId: 'test',
    bootstrapBrokers,
    serializers: stringSerializers,
  });
  await producer.send({ messages: [{ topic: 'kept', value: 'before the crash' }], acks: -1 });
  await producer.close();

  await server.kill();
  await assert.rejects(checkKafka(plan.port));
  await server.start();
  t.diagnostic(`again after ${Math.round(server.readyAfterMs)} ms`);

  const consumer = new Consumer({
    clientId: 'test',
    groupId: 'test',
    bootstrapBrokers,
    deserializers: stringDeserializers,
  });
  const stream = await consumer.consume({ topics: ['kept'], mode: 'earliest', autocommit: false });
  for await (const message of stream) {
    assert.equal(message.value, 'before the crash');
    break;
  }
  await consumer.close(true);

  server.pause();
  await assert.rejects(checkKafka(plan.port), /does not answer/);
  server.resume();
  await server.ready(10_000);
  await server.stop();
  assert.equal(server.running, false);
});
