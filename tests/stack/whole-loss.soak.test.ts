import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { S3BlobStore } from '@memplane/blob-store/s3';
import { S3Server } from '@memplane/blob-store/s3/testing';
import { secretsFile } from '@memplane/stack';
import {
  type AppendAnswer,
  call,
  type EntityView,
  entityPath,
  eventually,
  figure,
  forEachAtMost,
  range,
  runCommand,
} from '@memplane/testkit';
import { persist } from './persist.ts';
import { StackPlane } from './stack-plane.ts';

const ENTITIES = 40;
const BATCHES_BEFORE = 30;
const READERS = 8;
const RUN = randomUUID().slice(0, 8);
const COUNTER = `lost-${RUN}`;
const LEASE = `plan-${RUN}`;

let plane: StackPlane;
let elsewhere: S3Server;
before(async () => {
  plane = await StackPlane.connect();
  elsewhere = await S3Server.start();
});
after(() => elsewhere?.stop());

test('a plane is backed up under load, all of it is lost, and comes back into new stores', async () => {
  const bucket = await elsewhere.makeBucket();
  const place = `s3://${bucket.bucket}/whole`;
  const env = {
    MEMPLANE_S3_ENDPOINT: bucket.endpoint ?? '',
    AWS_ACCESS_KEY_ID: bucket.accessKey,
    AWS_SECRET_ACCESS_KEY: bucket.secretKey,
    ...plane.operatorEnv,
  };
  const memplane = async (...args: string[]) => {
    const started = performance.now();
    const run = await runCommand([...args, '--json'], { env });
    figure(`memplane ${args[0]}`, Math.round(performance.now() - started), 'ms');
    return run;
  };

  const load = new Load();
  for (let n = 0; n < BATCHES_BEFORE; n++) await load.step();
  const { sequence, count } = load;
  const token = load.token;
  const held = await takeLease();
  const loading = load.runOn();
  const made = await memplane('backup', '--to', place);
  await load.stop(loading);
  assert.equal(made.code, 0, made.stderr);
  assert.ok(load.sequence > sequence, 'the backup was made under load');

  const store = await S3BlobStore.open(bucket);
  await refuseDamaged(store, () => memplane('restore', '--from', place, '--check'));
  store.close();

  await plane.loseAll();
  const restore = () => memplane('restore', '--from', place, ...newStores());
  const archive = archiveEnv();
  Object.assign(env, archive);
  const restored = await restore();
  assert.equal(restored.code, 0, restored.stderr);
  const again = await restore();
  assert.equal(again.code, 5, 'stores that have something are refused');
  await plane.restore();

  const verified = await memplane('verify', '--backup', place);
  assert.equal(verified.code, 0, verified.stdout + verified.stderr);
  const { comparisons } = JSON.parse(verified.stdout) as { comparisons: { what: string }[] };
  for (const what of ['views and backup', 'index and log']) {
    assert.equal(comparisons.filter((each) => each.what === what).length, 12, what);
  }
  await holdsWhatWasThere({ sequence, count, sent: load });
  await goesOn({ token, held });
});

/** Batches, one event for each entity each, and an increment with each. */
class Load {
  /** Batches that were acknowledged: the sequence of each entity. */
  sequence = 0;
  /** Increments that were acknowledged. */
  count = 0;
  token = '';
  #isEnding = false;

  async step(): Promise<void> {
    const n = this.sequence;
    const url = `${plane.ingest}/v1/events`;
    const { token } = await persist<AppendAnswer>(201, 'POST', url, { body: batchOf(n) });
    this.token = token;
    this.sequence++;
    const body = { by: 1, opId: `${RUN}-${n}` };
    const counter = `${plane.crdt}/v1/counters/${COUNTER}/increments`;
    await persist(200, 'POST', counter, { body });
    this.count++;
  }

  async runOn(): Promise<void> {
    while (!this.#isEnding) await this.step();
  }

  async stop(running: Promise<void>): Promise<void> {
    this.#isEnding = true;
    await running;
  }
}

function batchOf(n: number) {
  return Array.from({ length: ENTITIES }, (_, i) => ({
    id: `${RUN}-${n}`,
    type: 'Said',
    entity: entityOf(i),
    attributes: { n },
    memory: { id: `m${n % 4}`, text: `what was said ${n % 9} of ${i}` },
  }));
}

function entityOf(i: number): string {
  return `user/lost-${RUN}-${i}`;
}

function takeLease(): Promise<{ fencingToken: number }> {
  const body = { holder: RUN, ttlMs: 60_000 };
  return persist(200, 'PUT', `${plane.ingest}/v1/leases/${LEASE}`, { body });
}

async function refuseDamaged(
  store: S3BlobStore,
  check: () => Promise<{ code: number; stderr: string }>,
): Promise<void> {
  const names: string[] = [];
  for await (const { name } of store.list('whole/')) names.push(name);
  for (const kind of ['.segment', 'crdt/states-2.ndjson.zst']) {
    const part = names.find((name) => name.endsWith(kind)) ?? '';
    const whole = await store.get(part);
    const flipped = Buffer.from(whole);
    const at = Math.floor(whole.length / 2);
    flipped.writeUInt8(flipped.readUInt8(at) ^ 1, at);
    await store.put(part, flipped);
    const { code, stderr } = await check();
    assert.equal(code, 1, stderr);
    assert.ok(stderr.includes(part.slice('whole/'.length)), stderr);
    await store.put(part, whole);
  }
}

function newStores(): string[] {
  const { exports } = plane.plans;
  const redis = exports['MEMPLANE_REPLICA_REDIS_ADDRESSES']?.split(',') ?? [];
  return [
    ...['--kafka', exports['MEMPLANE_KAFKA_BROKERS'] ?? ''],
    ...['--archive', 's3://memplane'],
    ...['--redis', redis.map((address) => `redis://${address}`).join()],
    ...['--etcd', exports['MEMPLANE_ETCD_ENDPOINTS'] ?? ''],
  ];
}

function archiveEnv(): Record<string, string> {
  const { values } = secretsFile(plane.settings.dir);
  return {
    MEMPLANE_ARCHIVE_S3_ENDPOINT: plane.plans.exports['MEMPLANE_S3_ENDPOINT'] ?? '',
    MEMPLANE_ARCHIVE_ACCESS_KEY_ID: values['s3-access-key'],
    MEMPLANE_ARCHIVE_SECRET_ACCESS_KEY: values['s3-secret-key'],
    MEMPLANE_REDIS_PASSWORD: values['redis-password'],
  };
}

/** All that was acknowledged before the backup began, and nothing that was never sent. */
async function holdsWhatWasThere(was: {
  readonly sequence: number;
  readonly count: number;
  readonly sent: Load;
}): Promise<void> {
  await forEachAtMost(READERS, range(ENTITIES), async (i) => {
    const url = plane.materializer + entityPath(entityOf(i));
    const { sequence, attributes } = await persist<EntityView>(200, 'GET', url);
    assert.ok(was.sequence <= sequence && sequence <= was.sent.sequence, `${i}: ${sequence}`);
    assert.deepEqual(attributes, { n: sequence - 1 });
  });
  const counter = `${plane.crdt}/v1/counters/${COUNTER}`;
  // Whichever replica answers.
  for (let asked = 0; asked < 6; asked++) {
    const { value } = await persist<{ value: number }>(200, 'GET', counter);
    assert.ok(was.count <= value && value <= was.sent.count, `counted ${value}`);
  }
  await eventually('derived counters are sent anew', 60_000, async () => {
    const url = `${plane.crdt}/v1/counters/events_total`;
    const answer = await call<{ value: number }>('GET', url);
    const total = was.sequence * ENTITIES;
    return answer.status === 200 && answer.body.value >= total ? true : undefined;
  });
}

async function goesOn(before: {
  readonly token: string;
  readonly held: { readonly fencingToken: number };
}): Promise<void> {
  const url = `${plane.ingest}/v1/events`;
  const repeated = await persist<AppendAnswer>(201, 'POST', url, { body: batchOf(0) });
  assert.ok(repeated.accepted.length === ENTITIES);
  const view = plane.materializer + entityPath(entityOf(0));
  const { sequence } = await persist<EntityView>(200, 'GET', view);
  const next = { id: `${RUN}-next`, type: 'Said', entity: entityOf(0), attributes: { n: 'next' } };
  const { token } = await persist<AppendAnswer>(201, 'POST', url, { body: next });
  const after = await persist<EntityView>(200, 'GET', `${view}?after=${token}`);
  assert.equal(after.sequence, sequence + 1, 'the repeated ones were counted no second time');
  const stale = await call('GET', `${view}?after=${before.token}`);
  assert.deepEqual(
    [stale.status, (stale.body as { code: string }).code],
    [409, 'token_of_another_log'],
  );
  const taken = await takeLease();
  assert.ok(taken.fencingToken > before.held.fencingToken + 1_000_000);
}
