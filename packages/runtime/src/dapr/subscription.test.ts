import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemplaneError } from '@memplane/contracts';
import { HttpServer } from '../http-server.ts';
import { createLogger } from '../logger.ts';
import { createTelemetry } from '../telemetry.ts';
import { cloudEventOf, type InboundMessage } from './delivery.ts';
import { type DeliveryHandler, subscriptionRoute } from './subscription.ts';

const PATH = '/subscriptions/t';
const TOKEN = { 'dapr-api-token': 'secret' };

async function withApp(
  more: { handle: DeliveryHandler; isRaw?: boolean },
  work: (send: typeof fetch, url: string) => Promise<void>,
): Promise<void> {
  const telemetry = await createTelemetry({
    serviceName: 'test',
    version: '0',
    otlpEndpoint: undefined,
    flushTimeoutMs: 100,
  });
  const server = new HttpServer({
    name: 'test',
    version: '0',
    description: 'a test',
    host: '127.0.0.1',
    port: 0,
    routes: [subscriptionRoute({ path: PATH, topic: 't', isRaw: false, ...more })],
    telemetry,
    logger: createLogger('test', 'silent'),
    token: 'operator',
    appToken: 'secret',
    inflight_requests_max: 10,
    connections_max: 10,
    drainTimeoutMs: 1_000,
    readiness: () => ({ ready: true }),
  });
  const port = await server.listen();
  try {
    await work(fetch, `http://127.0.0.1:${port}`);
  } finally {
    await server.stop();
    await telemetry.stop();
  }
}

const post = (url: string, body: unknown, headers: Record<string, string> = TOKEN) =>
  fetch(`${url}${PATH}`, {
    method: 'POST',
    headers: { 'content-type': 'application/cloudevents+json', ...headers },
    body: JSON.stringify(body),
  });

const event = { specversion: '1.0', id: 'e', source: 's', type: 't', data: { n: 1 } };
const entry = (entryId: string, value: unknown, metadata: object = {}) => ({
  entryId,
  event: value,
  metadata: { __key: 'user/1', __partition: '3', __offset: '7', __timestamp: '9', ...metadata },
});

test('deliveries are taken from the own sidecar alone', () =>
  withApp({ handle: async () => ['SUCCESS'] }, async (_send, url) => {
    assert.equal((await post(url, event)).status, 200);
    for (const headers of [{}, { 'dapr-api-token': 'wrong' }]) {
      assert.equal((await post(url, event, headers)).status, 401);
    }
    // An operator may call the API, but is no sidecar.
    const operator = { authorization: 'Bearer operator' };
    assert.equal((await post(url, event, operator)).status, 403);
    const document = await fetch(`${url}/openapi.json`, { headers: operator });
    assert.deepEqual(((await document.json()) as { paths: object }).paths, {});
  }));

test('a bulk is answered entry by entry', async () => {
  let seen: readonly InboundMessage[] = [];
  const handle: DeliveryHandler = async (messages) => {
    seen = messages;
    return ['SUCCESS', 'RETRY', 'DROP'];
  };
  await withApp({ handle }, async (_send, url) => {
    const entries = ['0', '1', '2', '3'].map((id) => entry(id, event));
    const answer = await post(url, { entries, topic: 't' });
    assert.deepEqual(await answer.json(), {
      statuses: [
        { entryId: '0', status: 'SUCCESS' },
        { entryId: '1', status: 'RETRY' },
        { entryId: '2', status: 'DROP' },
        { entryId: '3', status: 'RETRY' },
      ],
    });
    const [first] = seen;
    assert.equal(first?.key, 'user/1');
    assert.deepEqual([first?.partition, first?.offset, first?.timestampMs], [3, 7, 9]);
    assert.deepEqual(first && cloudEventOf(first), event);
  });
});

test('raw messages arrive byte for byte, whatever they are', async () => {
  const seen: string[] = [];
  const handle: DeliveryHandler = async (messages) => {
    for (const message of messages) {
      seen.push(message.bytes.toString('latin1'));
      assert.throws(() => cloudEventOf(message), MemplaneError);
    }
    return messages.map(() => 'SUCCESS' as const);
  };
  await withApp({ handle, isRaw: true }, async (_send, url) => {
    const base64 = Buffer.from('not \xff JSON', 'latin1').toString('base64');
    await post(url, { entries: [entry('0', base64)] });
    const single = await post(
      url,
      { ...event, data: undefined, data_base64: base64 },
      { ...TOKEN, __key: 'k', __offset: '1' },
    );
    assert.deepEqual(await single.json(), { status: 'SUCCESS' });
    assert.deepEqual(seen, ['not \xff JSON', 'not \xff JSON']);
  });
});

test('what a handler throws is never answered 404, which would drop the messages', async () => {
  for (const error of [new MemplaneError('not_found', 'x'), new Error('x')]) {
    const handle = async () => {
      throw error;
    };
    await withApp({ handle }, async (_send, url) => {
      assert.equal((await post(url, event)).status, 500);
      const bulk = await post(url, { entries: [entry('0', event)] });
      assert.deepEqual(await bulk.json(), { statuses: [{ entryId: '0', status: 'RETRY' }] });
    });
  }
});
