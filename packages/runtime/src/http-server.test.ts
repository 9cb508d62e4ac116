import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { LIMITS, operation } from '@memplane/contracts';
import { z } from 'zod';
import { HttpServer } from './http-server.ts';
import { createLogger } from './logger.ts';
import { type Route, route } from './route.ts';
import { createTelemetry } from './telemetry.ts';

const echo = operation({
  id: 'echo',
  method: 'post',
  path: '/v1/echo',
  summary: 'Says what it is told.',
  body: z.strictObject({ text: z.string() }),
  responses: { 200: { description: 'The same.', schema: z.strictObject({ text: z.string() }) } },
  errors: [],
});
const item = operation({
  id: 'item',
  method: 'get',
  path: '/v1/entities/{kind}/{id}',
  summary: 'Says which entity.',
  params: z.strictObject({ kind: z.string(), id: z.string() }),
  query: z.strictObject({ limit: z.coerce.number().int().optional() }),
  responses: { 200: { description: 'The entity.', schema: z.unknown() } },
  errors: [],
});

interface Started {
  readonly url: string;
  readonly port: number;
  readonly server: HttpServer;
}

async function withServer(
  more: { routes?: Route[]; token?: string; inflight?: number; bodyBytes?: number },
  work: (started: Started) => Promise<void>,
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
    routes: more.routes ?? [
      route(echo, ({ body }) => ({ status: 200, body })),
      route(item, ({ params, query }) => ({ status: 200, body: { ...params, ...query } })),
    ],
    telemetry,
    logger: createLogger('test', 'silent'),
    token: more.token,
    inflight_requests_max: more.inflight ?? 100,
    ...(more.bodyBytes === undefined ? {} : { inflight_body_bytes_max: more.bodyBytes }),
    connections_max: 100,
    drainTimeoutMs: 5_000,
    readiness: () => ({ ready: true }),
  });
  const port = await server.listen();
  try {
    await work({ url: `http://127.0.0.1:${port}`, port, server });
  } finally {
    await server.stop();
    await telemetry.stop();
  }
}

async function post(url: string, body: string | Buffer, headers: Record<string, string> = {}) {
  const response = await fetch(`${url}/v1/echo`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: JSON.parse(text) };
}

/** Writes bytes as they are and reads until the server ends the connection or `isEnough`. */
async function raw(
  port: number,
  parts: readonly (string | Buffer)[],
  isEnough: (text: string) => boolean = () => false,
): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1' });
  await once(socket, 'connect');
  let text = '';
  const done = new Promise<void>((resolve, reject) => {
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (isEnough(text)) resolve();
    });
    socket.on('close', () => resolve());
    socket.on('error', reject);
  });
  for (const part of parts) socket.write(part);
  await done;
  socket.destroy();
  return text;
}

test('validates, answers and refuses in problems that name the field', () =>
  withServer({}, async ({ url }) => {
    assert.deepEqual((await post(url, '{"text":"hi"}')).body, { text: 'hi' });
    const wrong = await post(url, '{"text":5}');
    assert.deepEqual([wrong.status, wrong.body.field], [400, 'body.text']);
    assert.match(wrong.headers.get('content-type') ?? '', /^application\/problem\+json/);
    assert.equal((await post(url, '{')).body.code, 'invalid_json');
    assert.equal((await post(url, Buffer.from([0x22, 0xff]))).body.code, 'invalid_encoding');
    const query = await fetch(`${url}/v1/echo?a=1`, { method: 'POST', body: '{"text":"x"}' });
    assert.equal(((await query.json()) as { field: string }).field, 'query.a');
  }));

test('405 tells what is allowed, 404 what is not there, 415 what is not JSON', () =>
  withServer({}, async ({ url }) => {
    const method = await fetch(`${url}/v1/echo`, { method: 'DELETE' });
    assert.deepEqual([method.status, method.headers.get('allow')], [405, 'POST']);
    assert.equal((await fetch(`${url}/v1/nothing`)).status, 404);
    assert.equal((await fetch(`${url}/V1/echo`)).status, 404);
    for (const type of ['text/plain', 'application/xml', 'application/jsonx', 'x']) {
      assert.equal((await post(url, '{"text":"x"}', { 'content-type': type })).status, 415, type);
    }
    for (const type of ['application/json; charset=utf-8', 'application/cloudevents+json']) {
      assert.equal((await post(url, '{"text":"x"}', { 'content-type': type })).status, 200, type);
    }
  }));

test('an entity may be written as one segment; bad percent-encoding is told', () =>
  withServer({}, async ({ url, port }) => {
    for (const path of ['user/42', 'user%2F42', 'user%2f42?limit=3']) {
      const answer = (await (await fetch(`${url}/v1/entities/${path}`)).json()) as { kind: string };
      assert.equal(answer.kind, 'user');
    }
    const text = await raw(port, [
      'GET /v1/entities/user/%ff HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
    ]);
    assert.match(text, /^HTTP\/1.1 400 .*"code":"invalid_encoding"/s);
  }));

test('a body that is declared too large is refused before it comes', () =>
  withServer({}, async ({ port }) => {
    const text = await raw(
      port,
      [
        `POST /v1/echo HTTP/1.1\r\nhost: x\r\ncontent-length: ${LIMITS.request_bytes_max + 1}\r\n\r\n`,
      ],
      (got) => got.includes('body_too_large'),
    );
    assert.match(text, /^HTTP\/1.1 413 /);
    assert.match(text, /connection: close/i);
  }));

test('a body that grows too large is refused, and its sender reads the answer', () =>
  withServer({}, async ({ port }) => {
    const chunk = Buffer.alloc(1024 * 1024, 0x20);
    const parts: (string | Buffer)[] = [
      'POST /v1/echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n',
    ];
    for (let i = 0; i < 12; i++) parts.push(`${chunk.length.toString(16)}\r\n`, chunk, '\r\n');
    parts.push('0\r\n\r\n');
    const text = await raw(port, parts);
    assert.match(text, /^HTTP\/1.1 413 .*"code":"body_too_large"/s);
    assert.equal(text.match(/HTTP\/1.1/g)?.length, 1);
  }));

test('what follows a refused body is not taken for a request', () =>
  withServer({}, async ({ port }) => {
    const inner = 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n';
    const text = await raw(port, [
      `POST /v1/echo HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: ${inner.length + 10}\r\n\r\n`,
      inner,
      '0123456789',
    ]);
    assert.match(text, /^HTTP\/1.1 415 /);
    assert.ok(!text.includes('alive'));
  }));

test('a connection goes on after a refused request whose body was read', () =>
  withServer({}, async ({ port }) => {
    const request = (body: string) =>
      `POST /v1/echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    const text = await raw(port, [request('{"text":5}'), request('{"text":"on"}')], (got) =>
      got.includes('{"text":"on"}'),
    );
    assert.match(text, /^HTTP\/1.1 400 .*HTTP\/1.1 200 /s);
  }));

test('bodies that come in together are bounded', () =>
  withServer({ bodyBytes: 1000 }, async ({ url, port }) => {
    const slow = connect({ port, host: '127.0.0.1' });
    await once(slow, 'connect');
    const body = JSON.stringify({ text: 'x'.repeat(800) });
    slow.write(
      `POST /v1/echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`,
    );
    for (;;) {
      const { status, headers, body: answer } = await post(url, body);
      if (status === 200) continue;
      assert.deepEqual([status, answer.limit], [429, 'inflight_body_bytes_max']);
      assert.equal(headers.get('retry-after'), '1');
      break;
    }
    slow.write(body);
    assert.match(String(await once(slow, 'data')), /HTTP\/1.1 200/);
    slow.destroy();
    assert.equal((await post(url, body)).status, 200);
  }));

test('requests under way are bounded; a drain finishes them and refuses others', async () => {
  const gate = Promise.withResolvers<void>();
  let waiting = 0;
  const slow = route(echo, async ({ body }) => {
    waiting++;
    await gate.promise;
    return { status: 200, body };
  });
  await withServer({ routes: [slow], inflight: 1 }, async ({ url, server }) => {
    const first = post(url, '{"text":"first"}');
    while (waiting === 0) await new Promise(setImmediate);
    const over = await post(url, '{"text":"second"}');
    assert.deepEqual([over.status, over.body.limit], [429, 'inflight_requests_max']);
    const drained = server.drain();
    assert.equal((await post(url, '{"text":"third"}')).body.code, 'shutting_down');
    assert.equal((await fetch(`${url}/readyz`)).status, 503);
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
    gate.resolve();
    assert.deepEqual((await first).body, { text: 'first' });
    await drained;
  });
});

test('all but the probes needs the token', () =>
  withServer({ token: 'secret' }, async ({ url }) => {
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
    assert.equal((await fetch(`${url}/readyz`)).status, 200);
    for (const path of ['/metrics', '/openapi.json', '/v1/entities/a/b', '/nowhere']) {
      assert.equal((await fetch(url + path)).status, 401, path);
    }
    for (const authorization of ['Bearer wrong', 'Basic secret', 'secret', 'Bearer  secret']) {
      assert.equal((await post(url, '{"text":"x"}', { authorization })).status, 401);
    }
    assert.equal((await post(url, '{"text":"x"}', { authorization: 'bearer secret' })).status, 200);
  }));

test('an unexpected error is a problem without its text', () => {
  const broken = route(echo, () => {
    throw new Error('password=hunter2');
  });
  return withServer({ routes: [broken] }, async ({ url }) => {
    const { status, body } = await post(url, '{"text":"x"}');
    assert.deepEqual([status, body.code], [500, 'internal']);
    assert.ok(!JSON.stringify(body).includes('hunter2'));
  });
});

test('a taken port is told in words', () =>
  withServer({}, async ({ port }) => {
    const telemetry = await createTelemetry({
      serviceName: 't',
      version: '0',
      otlpEndpoint: undefined,
      flushTimeoutMs: 10,
    });
    const second = new HttpServer({
      name: 'second',
      version: '0',
      description: '',
      host: '127.0.0.1',
      port,
      routes: [],
      telemetry,
      logger: createLogger('t', 'silent'),
      token: undefined,
      inflight_requests_max: 1,
      connections_max: 1,
      drainTimeoutMs: 10,
      readiness: () => ({ ready: true }),
    });
    await assert.rejects(second.listen(), new RegExp(`port ${port} on 127.0.0.1 is in use`));
  }));
