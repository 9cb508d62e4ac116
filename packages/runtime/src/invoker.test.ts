import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { MemplaneError, SERVICES, type ServiceName } from '@memplane/contracts';
import { createHttpInvoker, type Invoker } from './invoker.ts';

async function withCallee(
  answer: RequestListener,
  work: (invoker: Invoker, server: Server) => Promise<void>,
): Promise<void> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const urls = Object.fromEntries(Object.keys(SERVICES).map((name) => [name, url]));
  try {
    await work(createHttpInvoker(urls as Record<ServiceName, string>), server);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

const hasCode = (code: string) => (error: unknown) =>
  error instanceof MemplaneError && error.code === code;

test('a call carries method, query and body, and brings the answer back', () =>
  withCallee(
    async (request, response) => {
      let body = '';
      for await (const part of request) body += part;
      const { method, url, headers } = request;
      response.end(JSON.stringify({ method, url, body, type: headers['content-type'] }));
    },
    async (invoker) => {
      const query = { a: ['ä', '2'], none: undefined };
      const answer = await invoker.invoke('materializer', 'PUT', '/v1/x', {
        query,
        body: { text: 'ä' },
        timeoutMs: 5_000,
      });
      assert.deepEqual(answer, {
        method: 'PUT',
        url: '/v1/x?a=%C3%A4&a=2',
        body: '{"text":"ä"}',
        type: 'application/json',
      });
    },
  ));

test('an empty answer is undefined, a problem is an error with its own code', () =>
  withCallee(
    (request, response) => {
      const isProblem = request.url === '/problem';
      response.statusCode = isProblem ? 404 : 204;
      response.end(isProblem ? '{"code":"not_found","detail":"no","field":"path"}' : undefined);
    },
    async (invoker) => {
      const options = { timeoutMs: 5_000 };
      assert.equal(await invoker.invoke('crdt-sync', 'DELETE', '/v1/x', options), undefined);
      const wrong = invoker.invoke('crdt-sync', 'GET', '/problem', options);
      await assert.rejects(wrong, hasCode('not_found'));
    },
  ));

test('who does not answer in time, breaks off or is not there is unavailable', () =>
  withCallee(
    (request, response) => {
      if (request.url === '/late') return;
      response.writeHead(200, { 'content-length': 100 });
      response.write('{"half":');
      setTimeout(() => response.destroy(), 20);
    },
    async (invoker, server) => {
      const ask = (path: string, timeoutMs = 5_000) =>
        invoker.invoke('vector-index', 'GET', path, { timeoutMs });
      await assert.rejects(ask('/late', 50), hasCode('dependency_unavailable'));
      await assert.rejects(ask('/half'), hasCode('dependency_unavailable'));
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await assert.rejects(ask('/x'), hasCode('dependency_unavailable'));
      server.listen(0);
    },
  ));

test('a caller that ends a call gets its own reason, also while a long answer comes in', () =>
  withCallee(
    (request, response) => {
      if (request.url === '/late') return;
      response.write('first\n');
    },
    async (invoker) => {
      const why = new Error('enough');
      const early = new AbortController();
      const late = invoker.invoke('materializer', 'GET', '/late', {
        timeoutMs: 5_000,
        signal: early.signal,
      });
      setTimeout(() => early.abort(why), 20);
      await assert.rejects(late, (error) => error === why);
      const ending = new AbortController();
      const chunks = await invoker.stream('materializer', '/feed', {
        timeoutMs: 5_000,
        signal: ending.signal,
      });
      const seen: string[] = [];
      await assert.rejects(async () => {
        for await (const chunk of chunks) {
          seen.push(Buffer.from(chunk).toString());
          ending.abort(why);
        }
      });
      assert.deepEqual(seen, ['first\n']);
    },
  ));
