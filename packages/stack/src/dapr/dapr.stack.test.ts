import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Consumer, stringDeserializers } from '@platformatic/kafka';
import type { DaprdPlan } from '../server/daprd.ts';
import type { AppId } from '../supervisor/secrets.ts';
import { type Asked, DaprFixture } from './fixture.ts';

// The project's own components, policies and configuration, under real sidecars.
const DELIVERY_TIMEOUT_MS = 60_000;

const stack = new DaprFixture();
let agent: DaprdPlan;
let ingest: DaprdPlan;
let crdt: DaprdPlan;
let asked: Asked[];
let askedOfCrdt: Asked[];

before(async () => {
  await stack.start();
  const app = await stack.app();
  const crdtApp = await stack.app();
  asked = app.asked;
  askedOfCrdt = crdtApp.asked;
  [agent, ingest, crdt] = await Promise.all([
    stack.sidecar('agent'),
    stack.sidecar('event-ingest', app.port),
    stack.sidecar('crdt-sync', crdtApp.port),
  ]);
});
after(() => stack[Symbol.asyncDispose]());

interface Call {
  readonly method?: string;
  readonly body?: unknown;
  /** The right one of the sidecar's app id where it is left out. */
  readonly token?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

async function call(sidecar: DaprdPlan, app: AppId, path: string, options: Call = {}) {
  const token = options.token === undefined ? stack.tokens.apiTokens[app] : options.token;
  const answer = await fetch(`http://127.0.0.1:${sidecar.httpPort}/v1.0/${path}`, {
    method: options.method ?? 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token === null ? {} : { 'dapr-api-token': token }),
      ...options.headers,
    },
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
    signal: AbortSignal.timeout(30_000),
  });
  return { status: answer.status, headers: answer.headers, text: await answer.text() };
}

const inAgent = (path: string, options?: Call) => call(agent, 'agent', path, options);
const inIngest = (path: string, options?: Call) => call(ingest, 'event-ingest', path, options);

async function until<T>(what: string, look: () => T | undefined): Promise<T> {
  const deadline = performance.now() + DELIVERY_TIMEOUT_MS;
  for (;;) {
    const found = look();
    if (found !== undefined) return found;
    assert.ok(performance.now() < deadline, `${what}: not in ${DELIVERY_TIMEOUT_MS} ms`);
    await sleep(20);
  }
}

test('a publish reaches Kafka under its key, and a subscriber byte for byte', async () => {
  const path = 'publish/pubsub/agent-inbox?metadata.partitionKey=user%2F42';
  const published = await inAgent(path, { body: { type: 'Said', entity: 'user/42', id: 'e1' } });
  assert.equal(published.status, 204, published.text);

  const delivered = await until('the delivery', () =>
    asked.find((one) => one.path === '/subscriptions/agent-inbox'),
  );
  const [entry] = JSON.parse(delivered.body).entries;
  const event = JSON.parse(Buffer.from(entry.event, 'base64').toString());
  assert.equal(entry.metadata.__key, 'user/42');
  assert.equal(event.specversion, '1.0');
  assert.equal(event.source, 'agent');
  assert.deepEqual(event.data, { type: 'Said', entity: 'user/42', id: 'e1' });
  assert.equal(delivered.headers['dapr-api-token'], stack.tokens.appTokens['event-ingest']);

  const consumer = new Consumer({
    clientId: 'test',
    groupId: 'test',
    bootstrapBrokers: [...stack.brokers],
    deserializers: stringDeserializers,
  });
  const stream = await consumer.consume({
    topics: ['agent-inbox'],
    mode: 'earliest',
    autocommit: false,
  });
  for await (const message of stream) {
    assert.equal(message.key, 'user/42');
    assert.equal(JSON.parse(message.value ?? '').data.id, 'e1');
    break;
  }
  await consumer.close(true);
});

test('no token and a wrong one are refused', async () => {
  for (const token of [null, 'wrong', stack.tokens.apiTokens['event-ingest']]) {
    const path = 'publish/pubsub/agent-inbox';
    const answer = await inAgent(path, { body: {}, token });
    assert.equal(answer.status, 401, answer.text);
  }
});

test('topics are closed to whom they are not opened', async () => {
  for (const topic of ['agent-events', 'memory-views', 'memory-alerts', 'agent-inbox-dead', 'x']) {
    const answer = await inAgent(`publish/pubsub/${topic}`, { body: {} });
    assert.equal(answer.status, 403, `${topic}: ${answer.text}`);
  }
  const own = await inIngest('publish/pubsub/agent-events', { body: {} });
  assert.equal(own.status, 403, own.text);
});

test('components out of scope and operations that are not allowed are not there', async () => {
  // What is not on the allow-list has no route.
  const closed: readonly (readonly [string, Call])[] = [
    ['state/state', { body: [{ key: 'a', value: 1 }] }],
    ['state/strong/head', { method: 'GET' }],
    ['secrets/secrets/redis-password', { method: 'GET' }],
    ['bindings/reconcile-timer', { body: {} }],
    ['metadata', { method: 'GET' }],
    ['shutdown', {}],
  ];
  for (const [path, options] of closed) {
    const answer = await inAgent(path, options);
    assert.equal(answer.status, 404, `${path}: ${answer.text}`);
  }
  // crdt-sync may use state, but the component `state` is not in its scope.
  const other = await call(crdt, 'crdt-sync', 'state/state', { body: [{ key: 'a', value: 1 }] });
  assert.equal(other.status, 400, other.text);
  assert.match(other.text, /state store state is not found/i);
});

test('an application is called by whom its list names, and for what it names', async () => {
  const allowed = await inAgent('invoke/event-ingest/method/v1/events', { body: {} });
  assert.equal(allowed.status, 200, allowed.text);
  const seen = asked.findLast((one) => one.path === '/v1/events');
  assert.equal(seen?.headers['dapr-api-token'], stack.tokens.appTokens['event-ingest']);
  assert.equal(seen?.headers['dapr-caller-app-id'], 'agent');

  const increment = 'invoke/crdt-sync/method/v1/counters/likes/increments';
  assert.equal((await inAgent(increment, { body: { by: 1 } })).status, 200);

  const refused: readonly (readonly [string, Call])[] = [
    ['invoke/event-ingest/method/metrics', { method: 'GET' }],
    ['invoke/event-ingest/method/v1/events', { method: 'DELETE' }],
    // Only the materializer sends parts of derived counters.
    ['invoke/crdt-sync/method/v1/counters/likes/partitions/3', { method: 'PUT', body: {} }],
    ['invoke/crdt-sync/method/v1/reconciliations', { body: {} }],
    ['invoke/crdt-sync/method/v1/counters/../reconciliations', { body: {} }],
    ['invoke/crdt-sync/method/v1/counters/..%2Freconciliations', { body: {} }],
  ];
  const before = askedOfCrdt.filter((one) => one.path.startsWith('/v1/')).length;
  for (const [path, options] of refused) {
    const answer = await inAgent(path, options);
    assert.equal(answer.status, 403, `${path}: ${answer.status} ${answer.text}`);
  }
  const byCrdt = await call(crdt, 'crdt-sync', 'invoke/event-ingest/method/v1/events', {
    body: {},
  });
  assert.equal(byCrdt.status, 403, byCrdt.text);
  assert.equal(askedOfCrdt.filter((one) => one.path.startsWith('/v1/')).length, before);
});

test('compare-and-set on etcd lets one of two writers through', async () => {
  const write = (value: number, etag?: string) =>
    inIngest('state/strong', {
      body: [
        { key: 'head', value, ...(etag ? { etag } : {}), options: { concurrency: 'first-write' } },
      ],
    });
  assert.equal((await write(1)).status, 204);
  const read = await inIngest('state/strong/head', { method: 'GET' });
  assert.equal(read.text, '1');
  const etag = read.headers.get('etag') ?? '';
  assert.match(etag, /^\d+$/);
  assert.equal((await write(2, etag)).status, 204);
  const late = await write(3, etag);
  assert.equal(late.status, 409, late.text);
  assert.equal((await inIngest('state/strong/head', { method: 'GET' })).text, '2');
});

test('state on Redis, with its password from the secret store, expires', async () => {
  const body = [{ key: 'recent', value: 'x', metadata: { ttlInSeconds: '1' } }];
  assert.equal((await inIngest('state/state', { body })).status, 204);
  assert.equal((await inIngest('state/state/recent', { method: 'GET' })).text, '"x"');
  const deadline = performance.now() + 10_000;
  for (;;) {
    const answer = await inIngest('state/state/recent', { method: 'GET' });
    if (answer.status === 204) break;
    assert.ok(performance.now() < deadline, 'it is still there');
    await sleep(50);
  }
});
