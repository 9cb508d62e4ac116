import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MemplaneError, operation, type ServiceName } from '@memplane/contracts';
import {
  createLogger,
  createTelemetry,
  HttpServer,
  type Invoker,
  type Route,
  type RouteReply,
  type RouteRequest,
  traceFrom,
} from '@memplane/runtime';
import {
  cloudEventOf,
  createDaprInvoker,
  DaprPublisher,
  DaprSecrets,
  DaprState,
  type DeliveryStatus,
  type InboundMessage,
  type SidecarConfig,
  subscriptionRoute,
  waitForSidecar,
} from '@memplane/runtime/dapr';
import { freePorts } from '@memplane/testkit/ports';
import { Producer, stringSerializers } from '@platformatic/kafka';
import { z } from 'zod';
import type { AppId } from '../supervisor/secrets.ts';
import { DaprFixture } from './fixture.ts';

// What services speak to their sidecars with, on real ones.
/** As an agent may ask for them itself: one message a delivery, parsed or raw. */
const AGENT_SUBSCRIPTIONS = [
  { pubsubname: 'pubsub', topic: 'memory-views', routes: { default: '/views' } },
  {
    pubsubname: 'pubsub',
    topic: 'agent-events',
    routes: { default: '/events' },
    metadata: { rawPayload: 'true' },
  },
];
const OPTIONS = { timeoutMs: 5_000 };

type Request = RouteRequest<{ kind?: string; id?: string }, unknown, unknown>;

const stack = new DaprFixture();
const servers: HttpServer[] = [];
const sidecars = new Map<AppId, SidecarConfig>();
let seen: Request | undefined;
let entity: (request: Request) => Promise<RouteReply> | RouteReply;
let feed: (request: Request) => AsyncIterable<string>;
let deliver: (messages: readonly InboundMessage[]) => Promise<readonly DeliveryStatus[]>;

function routeOf(
  method: 'get' | 'post',
  path: `/${string}`,
  handle: (request: Request) => Promise<RouteReply> | RouteReply,
): Route {
  const isEntity = path.includes('{');
  const responses = { 200: { description: 'It.' } };
  const params = isEntity ? z.strictObject({ kind: z.string(), id: z.string() }) : undefined;
  return {
    operation: operation({
      id: path.replaceAll(/\W/g, ''),
      method,
      path,
      summary: '.',
      query: z.record(z.string(), z.unknown()),
      ...(params ? { params } : {}),
      ...(method === 'post' ? { body: z.unknown() } : {}),
      responses,
      errors: [],
    }),
    handle: (request) => {
      seen = request as Request;
      return handle(request as Request);
    },
  };
}

let deliverToAgent: typeof deliver;

async function serve(appId: AppId, routes: Route[]): Promise<void> {
  const telemetry = await createTelemetry({
    serviceName: appId,
    version: '0',
    otlpEndpoint: undefined,
    flushTimeoutMs: 100,
  });
  const [port = 0] = await freePorts(1);
  const server = new HttpServer({
    name: appId,
    version: '0',
    description: 'a test',
    host: '127.0.0.1',
    port,
    routes,
    telemetry,
    logger: createLogger(appId, 'silent'),
    token: undefined,
    appToken: stack.tokens.appTokens[appId],
    inflight_requests_max: 100,
    connections_max: 100,
    drainTimeoutMs: 1_000,
    readiness: () => ({ ready: true }),
  });
  await server.listen();
  servers.push(server);
  await beside(appId, port);
}

async function beside(appId: AppId, port?: number): Promise<void> {
  const { httpPort } = await stack.sidecar(appId, port);
  const sidecar = {
    url: `http://127.0.0.1:${httpPort}`,
    apiToken: stack.tokens.apiTokens[appId],
    appToken: stack.tokens.appTokens[appId],
  };
  await waitForSidecar(sidecar, 30_000);
  sidecars.set(appId, sidecar);
}

function of(appId: AppId): SidecarConfig {
  const sidecar = sidecars.get(appId);
  assert.ok(sidecar);
  return sidecar;
}

before(async () => {
  await stack.start();
  await Promise.all([
    serve('materializer', [
      routeOf('get', '/v1/entities/{kind}/{id}', (request) => entity(request)),
      routeOf('post', '/v1/query', (request) => ({ status: 200, body: request.body })),
      routeOf('get', '/v1/feeds/agent-events', (request) => ({
        status: 200,
        stream: feed(request),
      })),
    ]),
    serve('event-ingest', [
      subscriptionRoute({
        path: '/subscriptions/agent-inbox',
        topic: 'agent-inbox',
        isRaw: true,
        handle: (messages) => deliver(messages),
      }),
    ]),
    beside('vector-index'),
    serve('agent', [
      routeOf('get', '/dapr/subscribe', () => ({ status: 200, body: AGENT_SUBSCRIPTIONS })),
      subscriptionRoute({
        path: '/views',
        topic: 'memory-views',
        isRaw: false,
        handle: (messages) => deliverToAgent(messages),
      }),
      subscriptionRoute({
        path: '/events',
        topic: 'agent-events',
        isRaw: true,
        handle: (messages) => deliverToAgent(messages),
      }),
    ]),
  ]);
});
after(async () => {
  for (const server of servers) await server.stop();
  await stack[Symbol.asyncDispose]();
});

const get = (
  invoker: Invoker,
  path = '/v1/entities/user/42',
  service: ServiceName = 'materializer',
) => invoker.invoke(service, 'GET', path, OPTIONS);
const coded = (code: string) => (error: unknown) => {
  assert.ok(error instanceof MemplaneError, String(error));
  assert.equal(error.code, code, error.message);
  return true;
};

test('an invocation arrives with its caller and its trace, and its answer comes back', async () => {
  const invoker = createDaprInvoker(of('vector-index'));
  entity = ({ params, query }) => ({ status: 200, body: { ...params, query } });
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  const answer = await invoker.invoke('materializer', 'GET', '/v1/entities/user/a%40b~2f', {
    query: { after: ['mpt_1', 'mpt_2'], filter: '{"a b":"ä/?#%&+"}' },
    trace: traceFrom(traceparent),
    ...OPTIONS,
  });
  assert.deepEqual(answer, {
    kind: 'user',
    id: 'a@b~2f',
    query: { after: ['mpt_1', 'mpt_2'], filter: '{"a b":"ä/?#%&+"}' },
  });
  assert.equal(seen?.callerAppId, 'vector-index');
  assert.match(String(seen?.headers['traceparent']), new RegExp(`^00-${'a'.repeat(32)}-`));
  const body = { filter: { a: 'ü' }, limit: 1 };
  const query = await invoker.invoke('materializer', 'POST', '/v1/query', { body, ...OPTIONS });
  assert.deepEqual(query, body);
});

test("a callee's problem comes back with its code and all that it says", async () => {
  const invoker = createDaprInvoker(of('vector-index'));
  entity = () => {
    throw new MemplaneError('not_yet_visible', 'wait', {
      retryAfterMs: 40,
      field: 'query.after',
      extra: { appliedOffset: 7 },
    });
  };
  await assert.rejects(get(invoker), (error) => {
    coded('not_yet_visible')(error);
    const { retryAfterMs, field, extra } = error as MemplaneError;
    assert.deepEqual([retryAfterMs, field, extra], [40, 'query.after', { appliedOffset: 7 }]);
    return true;
  });
});

test('answers that are no faults of the callee never close the way to it', async () => {
  const invoker = createDaprInvoker(of('vector-index'));
  entity = () => {
    throw new MemplaneError('not_found', 'no such entity');
  };
  for (let i = 0; i < 40; i++) await assert.rejects(get(invoker), coded('not_found'));
});

test("the sidecar's own refusals are coded", async () => {
  entity = () => ({ status: 200, body: {} });
  const ingest = createDaprInvoker(of('event-ingest'));
  await assert.rejects(
    ingest.invoke('materializer', 'POST', '/v1/query', { body: {}, ...OPTIONS }),
    coded('forbidden'),
  );
  const search = createDaprInvoker(of('vector-index'));
  // Nobody runs crdt-sync here.
  await assert.rejects(get(search, '/v1/members', 'crdt-sync'), coded('dependency_unavailable'));
  const wrong = createDaprInvoker({ ...of('vector-index'), apiToken: 'wrong' });
  await assert.rejects(get(wrong), coded('unauthorized'));
  entity = () => new Promise(() => {});
  const started = performance.now();
  const hung = search.invoke('materializer', 'GET', '/v1/entities/a/b', { timeoutMs: 300 });
  await assert.rejects(hung, coded('dependency_unavailable'));
  assert.ok(performance.now() - started < 5_000);
});

test('a stream comes through as it is written, for longer than a call may take', async () => {
  const invoker = createDaprInvoker(of('vector-index'));
  const LINES = 24;
  let gate = Promise.withResolvers<void>();
  feed = async function* () {
    for (let n = 0; n < LINES; n++) {
      yield `{"n":${n}}\n`;
      // Nothing more before the reader has what was written.
      await gate.promise;
      gate = Promise.withResolvers();
    }
  };
  const chunks = await invoker.stream('materializer', '/v1/feeds/agent-events', {
    query: { partition: 3, waitMs: 30_000 },
    timeoutMs: 60_000,
  });
  let text = '';
  for await (const chunk of chunks) {
    text += Buffer.from(chunk).toString();
    await sleep(500);
    gate.resolve();
  }
  const lines = text.trimEnd().split('\n');
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).n),
    Array.from({ length: LINES }, (_, n) => n),
  );
});

test('a reader that leaves ends the stream at its source', async () => {
  const invoker = createDaprInvoker(of('vector-index'));
  const ended = Promise.withResolvers<string>();
  feed = async function* ({ signal }) {
    signal.addEventListener('abort', () => ended.resolve('ended'));
    for (;;) {
      yield `${'x'.repeat(1024)}\n`;
      await sleep(5);
    }
  };
  const gone = new AbortController();
  const chunks = await invoker.stream('materializer', '/v1/feeds/agent-events', {
    timeoutMs: 60_000,
    signal: gone.signal,
  });
  await assert.rejects(async () => {
    for await (const _ of chunks) gone.abort(new MemplaneError('shutting_down', 'enough'));
  });
  assert.equal(await Promise.race([ended.promise, sleep(10_000, 'still there')]), 'ended');
});

test('published messages arrive in the order of their key, with their places', async () => {
  const got: InboundMessage[] = [];
  let failures = 0;
  deliver = async (messages) => {
    // The first attempts fail as a whole, by an exception, and in part.
    if (failures++ === 0) throw new Error('not now');
    if (failures === 2) {
      got.push(...messages.slice(0, 1));
      return messages.map((_, i) => (i === 0 ? 'SUCCESS' : 'RETRY'));
    }
    got.push(...messages);
    return messages.map(() => 'SUCCESS');
  };
  const publisher = new DaprPublisher(of('agent'));
  const entries = Array.from({ length: 450 }, (_, n) => ({
    key: `user/${n % 7}`,
    value: { n, big: 2 ** 53 - 1, text: 'ü<&>' },
    headers: { trait: `t${n}` },
  }));
  await publisher.publish('agent-inbox', entries);
  const deadline = performance.now() + 60_000;
  while (got.length < 450) {
    assert.ok(performance.now() < deadline, `${got.length} of 450`);
    await sleep(50);
  }
  const events = got.map(({ bytes }) => JSON.parse(bytes.toString()));
  for (const [i, { specversion, source, data }] of events.entries()) {
    assert.deepEqual([specversion, source], ['1.0', 'agent']);
    const { key, metadata, partition, timestampMs } = got[i] as InboundMessage;
    assert.equal(key, `user/${data.n % 7}`);
    assert.deepEqual(data, { n: data.n, big: 2 ** 53 - 1, text: 'ü<&>' });
    assert.equal(metadata['trait'], `t${data.n}`);
    assert.ok(partition !== undefined && timestampMs !== undefined);
  }
  for (let key = 0; key < 7; key++) {
    const mine = events.filter(({ data }) => data.n % 7 === key).map(({ data }) => data.n);
    const sorted = Array.from({ length: mine.length }, (_, i) => key + 7 * i);
    assert.deepEqual(mine, sorted, `user/${key}`);
  }
  const places = new Set(got.map(({ partition, offset }) => `${partition}/${offset}`));
  assert.equal(places.size, 450);
});

test('messages that come one by one have their places too, and come again until they are taken', async () => {
  const got: InboundMessage[] = [];
  const attempts = new Map<string, number>();
  deliverToAgent = async ([message]) => {
    assert.ok(message);
    const place = `${message.topic}/${message.partition}/${message.offset}`;
    const attempt = (attempts.get(place) ?? 0) + 1;
    attempts.set(place, attempt);
    if (attempt === 1) throw new MemplaneError('not_found', 'answered 404, it would be dropped');
    if (attempt === 2) return ['RETRY'];
    got.push(message);
    return ['SUCCESS'];
  };
  const views = [1, 2, 3].map((n) => ({ key: 'user/1', value: { n } }));
  await new DaprPublisher(of('materializer')).publish('memory-views', views);
  const raw = '{"specversion":"1.0","id":"e","source":"s","type":"t","n":9007199254740993}';
  const producer = new Producer({
    clientId: 'test',
    bootstrapBrokers: [...stack.brokers],
    serializers: stringSerializers,
  });
  await producer.send({ messages: [{ topic: 'agent-events', key: 'user/2', value: raw }] });
  await producer.close();
  const deadline = performance.now() + 60_000;
  while (got.length < 4) {
    assert.ok(performance.now() < deadline, `${got.length} of 4`);
    await sleep(50);
  }
  const parsed = got.filter(({ topic }) => topic === 'memory-views');
  assert.deepEqual(
    parsed.map((message) => [message.key, cloudEventOf(message).data, message.offset]),
    [1, 2, 3].map((n, i) => ['user/1', { n }, i]),
  );
  const [event] = got.filter(({ topic }) => topic === 'agent-events');
  assert.equal(event?.bytes.toString(), raw);
  assert.deepEqual([event?.key, event?.offset], ['user/2', 0]);
  assert.deepEqual([...attempts.values()], [3, 3, 3, 3]);
});

test('publishing is refused in words', async () => {
  const publisher = new DaprPublisher(of('agent'));
  const publish = (topic: string, value: unknown) => publisher.publish(topic, [{ value }]);
  await assert.rejects(publish('agent-events', {}), coded('forbidden'));
  await assert.rejects(publish('no-such-topic', {}), coded('forbidden'));
  await assert.rejects(
    publish('agent-inbox', 'x'.repeat(5 * 1024 * 1024)),
    coded('body_too_large'),
  );
});

test('state is read, written, compared and forgotten, on both stores', async () => {
  for (const store of ['state', 'strong']) {
    const state = new DaprState(of('event-ingest'), store);
    assert.equal(await state.get('a', OPTIONS), undefined);
    assert.equal(
      await state.saveIf({ key: 'a', value: { n: 1 } }, undefined, OPTIONS),
      true,
      store,
    );
    assert.equal(
      await state.saveIf({ key: 'a', value: { n: 9 } }, undefined, OPTIONS),
      false,
      store,
    );
    const first = await state.get('a', OPTIONS);
    assert.deepEqual(first?.value, { n: 1 });
    assert.equal(await state.saveIf({ key: 'a', value: 2 }, first?.etag, OPTIONS), true);
    assert.equal(await state.saveIf({ key: 'a', value: 3 }, first?.etag, OPTIONS), false);
    await state.save(
      [
        { key: 'b', value: 'ü' },
        { key: 'c', value: [1, null], ttlSeconds: 1 },
      ],
      OPTIONS,
    );
    const found = await state.getBulk(['a', 'b', 'c', 'd'], OPTIONS);
    const values = [...found].map(([key, { value }]) => [key, value]).sort();
    assert.deepEqual(
      values,
      [
        ['a', 2],
        ['b', 'ü'],
        ['c', [1, null]],
      ],
      store,
    );
    assert.equal(found.get('a')?.etag, (await state.get('a', OPTIONS))?.etag);
    const deadline = performance.now() + 10_000;
    while ((await state.get('c', OPTIONS)) !== undefined) {
      assert.ok(performance.now() < deadline, `${store}: c is still there`);
      await sleep(50);
    }
  }
  const others = new DaprState(of('materializer'), 'state');
  await assert.rejects(others.get('a', OPTIONS), MemplaneError);
});

test('a secret is given to whom it is for', async () => {
  const secrets = new DaprSecrets(of('materializer'));
  assert.equal(await secrets.get('s3-access-key'), 'memplane');
  await assert.rejects(secrets.get('redis-password'), coded('forbidden'));
  await assert.rejects(secrets.get('no-such'), MemplaneError);
});
