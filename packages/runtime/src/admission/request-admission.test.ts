import assert from 'node:assert/strict';
import { test } from 'node:test';
import { operation } from '@memplane/contracts';
import { z } from 'zod';
import { HttpServer } from '../http-server.ts';
import { createLogger } from '../logger.ts';
import { type Route, route } from '../route.ts';
import { createTelemetry } from '../telemetry.ts';
import type { GateOptions } from './gate.ts';
import { refusalError } from './request-admission.ts';

const shared = { responses: { 200: { description: 'Done.' } }, errors: [] };
const write = operation({
  ...shared,
  ...{ id: 'write', method: 'post', path: '/v1/writes', role: 'writer', summary: 'Writes.' },
  body: z.unknown(),
});
const read = operation({
  ...shared,
  ...{ id: 'read', method: 'get', path: '/v1/reads', role: 'reader', summary: 'Reads.' },
  query: z.strictObject({ after: z.string().optional() }),
});
const look = operation({
  ...shared,
  ...{ id: 'look', method: 'get', path: '/v1/looks', role: 'operator', summary: 'Looks.' },
});

const ONE_AT_ONCE: GateOptions = {
  concurrency_min: 1,
  concurrency_max: 1,
  queue_requests_max: 1,
  queue_bytes_max: 1_000_000,
  queueWaitMs: 30_000,
};

/** Requests end when `finish` is called, the oldest first. */
async function withServer(
  admission: GateOptions,
  work: (plane: {
    readonly ask: (path: string, body?: string) => Promise<Response>;
    readonly metrics: () => Promise<string>;
    /** Resolves when so many are under way. */
    readonly arrived: (count: number) => Promise<void>;
    readonly finish: () => void;
    readonly order: readonly string[];
  }) => Promise<void>,
): Promise<void> {
  const under: { path: string; end: () => void }[] = [];
  const order: string[] = [];
  let seen = 0;
  const held = async (path: string) => {
    order.push(path);
    seen++;
    await new Promise<void>((end) => under.push({ path, end }));
    return { status: 200, body: {} };
  };
  const routes: Route[] = [
    route(write, () => held('write')),
    route(read, () => held('read')),
    route(look, () => ({ status: 200, body: {} })),
  ];
  const telemetry = await createTelemetry({
    ...{ serviceName: 'test', version: '0', otlpEndpoint: undefined, flushTimeoutMs: 100 },
  });
  const server = new HttpServer({
    ...{ name: 'test', version: '0', description: 'a test', host: '127.0.0.1', port: 0 },
    ...{ routes, telemetry, logger: createLogger('test', 'silent'), token: undefined },
    ...{ inflight_requests_max: 100, connections_max: 100, drainTimeoutMs: 5_000, admission },
    readiness: () => ({ ready: true }),
  });
  const url = `http://127.0.0.1:${await server.listen()}`;
  const ask = (path: string, body?: string) =>
    fetch(url + path, {
      ...(body === undefined ? {} : { method: 'POST', body }),
      headers: { 'content-type': 'application/json' },
    });
  const arrived = async (count: number) => {
    while (seen < count) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  try {
    const metrics = async () => (await ask('/metrics')).text();
    await work({ ask, metrics, arrived, order, finish: () => under.shift()?.end() });
  } finally {
    for (const { end } of under) end();
    await server.stop();
    await telemetry.stop();
  }
}

async function waiting(ask: (path: string) => Promise<Response>, count: number): Promise<void> {
  for (;;) {
    const { admission } = (await (await ask('/readyz')).json()) as {
      admission: { waiting: number };
    };
    if (admission.waiting === count) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('one more waits, the next is told the limit and when to come, on the same connection', () =>
  withServer(ONE_AT_ONCE, async ({ ask, arrived, finish, metrics }) => {
    const first = ask('/v1/writes', '{}');
    await arrived(1);
    const second = ask('/v1/writes', '{}');
    await waiting(ask, 1);
    const refused = await ask('/v1/writes', '{}');
    assert.equal(refused.status, 429);
    assert.match(refused.headers.get('retry-after') ?? '', /^\d+$/);
    assert.notEqual(refused.headers.get('connection'), 'close');
    const problem = (await refused.json()) as Record<string, unknown>;
    const { code, transient, limit, max, concurrency } = problem;
    assert.deepEqual(
      { code, transient, limit, max, concurrency },
      {
        ...{ code: 'overloaded', transient: true },
        ...{ limit: 'queue_requests_max', max: 1, concurrency: 1 },
      },
    );
    assert.ok((problem['retryAfterMs'] as number) > 0);
    assert.equal((await ask('/v1/looks')).status, 200, 'operators can look');
    const text = await metrics();
    assert.match(text, /memplane_admission_refused.*limit="queue_requests_max".* 1/);
    assert.match(text, /memplane_admission_waiting\b.* 1/);
    finish();
    assert.equal((await first).status, 200);
    await arrived(2);
    finish();
    assert.equal((await second).status, 200);
  }));

test('a read goes before a write that came earlier', () =>
  withServer({ ...ONE_AT_ONCE, queue_requests_max: 10 }, async (plane) => {
    const { ask, arrived, finish, order } = plane;
    const all = [ask('/v1/writes', '{}')];
    await arrived(1);
    all.push(ask('/v1/writes', '{}'));
    await waiting(ask, 1);
    all.push(ask('/v1/reads'));
    await waiting(ask, 2);
    for (let count = 2; count <= 4; count++) {
      finish();
      if (count <= 3) await arrived(count);
    }
    for (const answer of await Promise.all(all)) assert.equal(answer.status, 200);
    assert.deepEqual(order, ['write', 'read', 'write']);
  }));

test('what waits until something is visible leaves its place to others', () =>
  withServer(ONE_AT_ONCE, async ({ ask, arrived, finish }) => {
    const patient = ask('/v1/reads?after=token');
    await arrived(1);
    const other = ask('/v1/reads');
    await arrived(2);
    finish();
    finish();
    assert.deepEqual([(await patient).status, (await other).status], [200, 200]);
  }));

test('what has waited too long is refused, also where nothing ends', () =>
  withServer({ ...ONE_AT_ONCE, queueWaitMs: 100 }, async ({ ask, arrived }) => {
    const first = ask('/v1/reads');
    await arrived(1);
    const late = await ask('/v1/reads');
    assert.equal(late.status, 429);
    assert.equal(((await late.json()) as { limit: string }).limit, 'queueWaitMs');
    void first.catch(() => {});
  }));

test('a refusal looks for no stack, and leaves other errors theirs', () => {
  const refusal = refusalError({
    ...{ limit: 'queue_requests_max', max: 1, concurrency: 1, retryAfterMs: 100 },
  });
  assert.doesNotMatch(refusal.stack ?? '', /\n/);
  assert.match(new Error('another').stack ?? '', /\n/);
});
