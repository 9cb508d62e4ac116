import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import path from 'node:path';
import { test } from 'node:test';
import { firstHlcOf } from '@memplane/clock';
import { DEFAULT_PARTITIONS, TOPICS } from '@memplane/contracts';
import { type NewRecord, partitionOf } from '@memplane/event-log';
import { openKafkaLog } from '@memplane/event-log/kafka';
import { checkHttp, type ServerProcess } from '@memplane/stack';
import { DaprFixture } from '@memplane/stack/dapr-fixture';
import { freePorts, sendAlways } from '@memplane/testkit';
import { cloudEvent } from '../../services/materializer/src/testing.ts';
import { Prometheus } from './prometheus.ts';
import { Runbook } from './runbook.ts';

const root = path.resolve(import.meta.dirname, '../..');
/** Of them 10,500 while nothing is published; a shard is late beyond 10,000. */
const EVENTS = 11_000;
const BATCH = 500;
const PARTITION = 0;
const TOKEN = 'a-token-of-the-test';

test('MemplaneViewsNotPublished: the sidecar of a materializer is killed', async () => {
  await using stack = new DaprFixture();
  await stack.start();
  const { url, env, sidecar } = await startMaterializer(stack);
  const target = { job: 'materializer', instance: 'materializer-0', url };
  await using watching = await Prometheus.start(path.join(stack.dir, 'tsdb'), [target]);
  const book = new Runbook('views-not-published.md', path.join(stack.dir, 'bin'), env);
  await append(stack, 0, BATCH);
  assert.match(await book.run('confirm'), /204/);
  await book.run('over');
  assert.deepEqual(await watching.round(), []);

  await sidecar.kill();
  await append(stack, BATCH, EVENTS);
  await watching.until('MemplaneViewsNotPublished', true, 60, () => pause(50));
  assert.match(await book.run('confirm'), /000/);
  // What the page asks for; it goes on by itself.
  await sidecar.start();
  await book.run('over');
  await watching.until('MemplaneViewsNotPublished', false, 10);
});

/** One instance on a real log, with a sidecar that outlives it, and is outlived. */
async function startMaterializer(stack: DaprFixture) {
  const [port = 0, peerPort = 0, daprPort = 0] = await freePorts(3);
  const url = `http://127.0.0.1:${port}`;
  const sidecarEnv = {
    DAPR_HTTP_PORT: String(daprPort),
    DAPR_API_TOKEN: stack.tokens.apiTokens.materializer,
  };
  const service = stack.run({
    name: 'materializer',
    version: '0',
    command: process.execPath,
    args: [path.join(root, 'dist/services/materializer.js')],
    cwd: stack.dir,
    env: {
      ...sidecarEnv,
      MEMPLANE_TOKEN: TOKEN,
      APP_API_TOKEN: stack.tokens.appTokens.materializer,
      MEMPLANE_MATERIALIZER_PORT: String(port),
      MEMPLANE_MATERIALIZER_PEER_PORT: String(peerPort),
      MEMPLANE_MATERIALIZER_DIR: path.join(stack.dir, 'views'),
      MEMPLANE_KAFKA_BROKERS: stack.brokers.join(','),
      MEMPLANE_BLOB_DIR: path.join(stack.dir, 'blobs'),
      MEMPLANE_PEER_TOKEN: 'secret-of-the-instances',
      MEMPLANE_COUNTER_PUBLISHING: 'false',
      MEMPLANE_VIEWS_PUBLISH_RETRY_MS_MAX: '1000',
    },
    ports: [port],
    logFile: path.join(stack.dir, 'materializer.log'),
    prepare: async () => {},
    check: () => checkHttp(`${url}/healthz`, {}),
    readyTimeoutMs: 120_000,
    stopTimeoutMs: 20_000,
  });
  await Promise.all([service, stack.sidecar('materializer', port, 'materializer-dapr', daprPort)]);
  const sidecar: ServerProcess = stack.server('materializer-dapr');
  sendAlways(url, { authorization: `Bearer ${TOKEN}` });
  const env = { MEMPLANE_TOKEN: TOKEN, MEMPLANE_MATERIALIZER_PORT: String(port) };
  return { url, sidecar, env: { ...sidecarEnv, ...env } };
}

/** Events of one shard, each of another entity: of several changes only the last is published. */
async function append({ brokers }: DaprFixture, from: number, to: number): Promise<void> {
  const { writer } = await openKafkaLog({
    brokers,
    topic: TOPICS.events,
    partitionsInitial: DEFAULT_PARTITIONS,
  });
  try {
    for (let first = from; first < to; first += BATCH) {
      await writer.append(entities.slice(first, first + BATCH).map(recordOf));
    }
  } finally {
    await writer.close();
  }
}

/** The first entities of that shard. */
const entities = (() => {
  const found: string[] = [];
  for (let n = 0; found.length < EVENTS; n++) {
    const entity = `user/${n}`;
    if (partitionOf(entity, DEFAULT_PARTITIONS) === PARTITION) found.push(entity);
  }
  return found;
})();

function recordOf(entity: string): NewRecord {
  const hlc = firstHlcOf(Date.now());
  const event = cloudEvent({ id: entity, entity, hlc, data: { attributes: { of: entity } } });
  const idDigest = createHash('sha256').update(entity).digest().subarray(0, 16);
  return {
    ...{ partition: PARTITION, key: entity, hlc, idDigest, contentDigest: idDigest },
    value: Buffer.from(JSON.stringify(event)),
  };
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
