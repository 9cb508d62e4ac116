import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { isNewerView } from '@memplane/client';
import { firstHlcOf } from '@memplane/clock';
import {
  DEFAULT_PARTITIONS,
  TOPICS,
  type ViewFeedLine,
  viewFeedLineSchema,
} from '@memplane/contracts';
import { type LogRecord, partitionOf } from '@memplane/event-log';
import { openKafkaLog } from '@memplane/event-log/kafka';
import { checkHttp, kafkaLibs, type ServerProcess } from '@memplane/stack';
import { DaprFixture } from '@memplane/stack/dapr-fixture';
import { freePorts, scaled } from '@memplane/testkit';
import { naiveFold } from './naive-fold.ts';
import { cloudEvent } from './testing.ts';
import { pauseMs, until } from './testing-instances.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
const ENTITIES = 40;
const REPEAT_DELAY_MS = 5_000;

interface Message {
  readonly key: string;
  readonly view: ViewFeedLine;
}

/** All of `memory-views`, as Kafka's own consumer prints it. */
async function consumeViews(brokers: readonly string[]): Promise<Message[]> {
  const command = [
    '-Dorg.slf4j.simpleLogger.defaultLogLevel=error',
    '-cp',
    join(await kafkaLibs(), '*'),
  ];
  const what = [
    '--bootstrap-server',
    brokers.join(','),
    '--topic',
    TOPICS.views,
    '--from-beginning',
  ];
  const how = ['--timeout-ms', '4000', '--property', 'print.key=true'];
  const consumer = 'org.apache.kafka.tools.consumer.ConsoleConsumer';
  const { stdout } = await promisify(execFile)('java', [...command, consumer, ...what, ...how], {
    maxBuffer: 256 * 1024 * 1024,
  });
  return stdout
    .split('\n')
    .filter((line) => line.includes('\t'))
    .map((line) => {
      const [key = '', value = ''] = line.split('\t', 2);
      return { key, view: viewFeedLineSchema.parse(JSON.parse(value).data) };
    });
}

/** An instance of the service and its sidecar, which outlives it. */
async function startInstance(stack: DaprFixture, name: string): Promise<ServerProcess> {
  const [port = 0, peerPort = 0, daprPort = 0] = await freePorts(3);
  const url = `http://127.0.0.1:${port}`;
  const app = stack.run({
    name,
    version: '0',
    command: process.execPath,
    args: [MAIN],
    cwd: stack.dir,
    env: {
      MEMPLANE_INSTANCE: name,
      MEMPLANE_MATERIALIZER_PORT: String(port),
      MEMPLANE_MATERIALIZER_PEER_PORT: String(peerPort),
      MEMPLANE_MATERIALIZER_DIR: join(stack.dir, name),
      MEMPLANE_KAFKA_BROKERS: stack.brokers.join(','),
      MEMPLANE_BLOB_DIR: join(stack.dir, 'blobs'),
      MEMPLANE_PEER_TOKEN: 'secret-of-the-instances',
      MEMPLANE_COUNTER_PUBLISHING: 'false',
      MEMPLANE_LOG_LEVEL: 'warn',
      MEMPLANE_VIEWS_REPEAT_DELAY_MS: String(REPEAT_DELAY_MS),
      DAPR_HTTP_PORT: String(daprPort),
      DAPR_API_TOKEN: stack.tokens.apiTokens.materializer,
      APP_API_TOKEN: stack.tokens.appTokens.materializer,
    },
    ports: [port],
    logFile: join(stack.dir, `${name}.log`),
    prepare: async () => {},
    check: () => checkHttp(`${url}/healthz`, {}),
    readyTimeoutMs: 60_000,
    stopTimeoutMs: 20_000,
  });
  const sidecar = stack.sidecar('materializer', port, `${name}-dapr`, daprPort);
  return (await Promise.all([app, sidecar]))[0];
}

test('owners are killed and paused in the middle: the last message of each entity is its view', async (t) => {
  await using stack = new DaprFixture();
  await stack.start({
    'group.consumer.min.session.timeout.ms': '1000',
    'group.consumer.session.timeout.ms': '3000',
    'group.consumer.min.heartbeat.interval.ms': '100',
    'group.consumer.heartbeat.interval.ms': '300',
  });
  const { writer } = await openKafkaLog({
    brokers: stack.brokers,
    topic: TOPICS.events,
    partitionsInitial: DEFAULT_PARTITIONS,
  });
  t.after(() => writer.close());
  const records: LogRecord[] = [];
  const startMs = Date.now();
  let count = 0;
  const append = async (events: number) => {
    for (let i = 0; i < events; i++) {
      const n = count++;
      const entity = `user/${(n * 7) % ENTITIES}`;
      const data = { attributes: { n }, memory: { id: `m${n % 3}`, text: `text ${n}` } };
      const hlc = firstHlcOf(startMs + n);
      const value = Buffer.from(JSON.stringify(cloudEvent({ id: `e${n}`, entity, hlc, data })));
      const idDigest = createHash('sha256').update(`e${n}`).digest().subarray(0, 16);
      const partition = partitionOf(entity, DEFAULT_PARTITIONS);
      const [offset = -1] = await writer.append([
        { partition, key: entity, value, hlc, idDigest, contentDigest: idDigest },
      ]);
      records.push({ partition, offset, key: entity, value, hlc });
      if (n % 5 === 0) await pauseMs(2);
    }
  };
  const a = await startInstance(stack, 'a');
  await append(200);
  const b = await startInstance(stack, 'b');
  for (let round = 0; round < scaled('views_topic', { ci: 2, soak: 20 }); round++) {
    const [victim, other] = round % 2 === 0 ? [a, b] : [b, a];
    await Promise.all([append(300), pauseMs(200).then(() => victim.kill())]);
    await append(200);
    await victim.start();
    // The other one sleeps past its ownership with messages on their way, and wakes up.
    const loaded = append(400);
    await pauseMs(150);
    other.pause();
    await pauseMs(5_000);
    other.resume();
    await loaded;
  }
  const fold = naiveFold(records);
  assert.equal(fold.entities.size, ENTITIES);
  let messages: Message[] = [];
  const differing = () => {
    const last = new Map(messages.map(({ key, view }) => [key, view]));
    return [...fold.entities].filter(([entity, { attributes, sequence, memories }]) => {
      const view = last.get(entity)?.view;
      const isSame = view?.sequence === sequence && view.memories.length === memories.size;
      return !isSame || JSON.stringify(view?.attributes) !== JSON.stringify(attributes);
    });
  };
  await until('the last message of each entity is its view', async () => {
    messages = await consumeViews(stack.brokers);
    return differing().length === 0;
  });
  t.diagnostic(`${messages.length} messages for ${records.length} events`);
  // What is sent later repeats, and does not go back.
  await pauseMs(REPEAT_DELAY_MS + 1_000);
  messages = await consumeViews(stack.brokers);
  assert.deepEqual(differing(), []);
  // A subscriber that goes by the rule never sees an entity go back.
  const known = new Map<string, ViewFeedLine>();
  for (const { key, view } of messages) {
    assert.equal(view.key, key);
    if (isNewerView(view, known.get(key))) known.set(key, view);
  }
  for (const [entity, { sequence }] of fold.entities) {
    assert.equal(known.get(entity)?.view.sequence, sequence);
  }
  // Two owners have told of them, under their epochs.
  assert.ok(new Set(messages.map(({ view }) => view.ownerEpoch)).size > 1);
});
