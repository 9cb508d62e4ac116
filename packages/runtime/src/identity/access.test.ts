import assert from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { ConfigError } from '../config.ts';
import { createLogger } from '../logger.ts';
import { Access } from './access.ts';
import {
  bearer,
  type Reply,
  sayingRoute,
  sha256Of,
  startServer,
  tenantsFile,
} from './testing-access.ts';

const ROUTES = [
  sayingRoute('reader'),
  sayingRoute('operator'),
  sayingRoute('plane'),
  sayingRoute(undefined),
];

function token(name: string, tenant: string, roles: string[], more: object = {}): object {
  return { name, sha256: sha256Of(name), tenant, roles, ...more };
}

const FILE = {
  version: 1,
  tokens: [
    token('acme-reads', 'acme', ['reader']),
    token('acme-writes', 'acme', ['writer']),
    token('over', 'acme', ['reader'], { expires: '2020-01-01T00:00:00Z' }),
    token('ops', 'default', ['operator']),
  ],
  apps: [{ appId: 'billing', tenant: 'beta', roles: ['reader'] }],
};

function expectProblem({ status, body }: Reply, code: string): void {
  assert.deepEqual([body['code'], status], [code, code === 'unauthorized' ? 401 : 403]);
}

test('a token decides whose call it is, and a role what it may do', async (t) => {
  const get = await startServer(t, { routes: ROUTES, tenantsFile: tenantsFile(t, FILE) });
  assert.deepEqual((await get('/v1/reader', bearer('acme-reads'))).body, { tenant: 'acme' });
  assert.deepEqual((await get('/v1/operator', bearer('ops'))).body, { tenant: 'default' });
  expectProblem(await get('/v1/reader', bearer('acme-writes')), 'forbidden');
  expectProblem(await get('/v1/operator', bearer('acme-reads')), 'forbidden');
  expectProblem(await get('/v1/plane', bearer('ops')), 'forbidden');
  for (const path of ['/v1/reader', '/metrics', '/openapi.json', '/v1/none']) {
    expectProblem(await get(path), 'unauthorized');
  }
  for (const wrong of ['acme', 'acme-reads2', 'over', sha256Of('acme-reads'), 'a'.repeat(9000)]) {
    expectProblem(await get('/v1/reader', bearer(wrong)), 'unauthorized');
  }
  expectProblem(await get('/v1/reader', { authorization: 'Basic YTpi' }), 'unauthorized');
});

test('an operation that names no role is for nobody but the plane', async (t) => {
  const options = { routes: ROUTES, tenantsFile: tenantsFile(t, FILE), planeToken: 'plane-secret' };
  const get = await startServer(t, { ...options, token: 'one-for-all' });
  expectProblem(await get('/v1/nobody', bearer('one-for-all')), 'forbidden');
  assert.equal((await get('/v1/nobody', bearer('plane-secret'))).status, 200);
});

test('only a service of the plane names a tenant', async (t) => {
  const options = { routes: ROUTES, tenantsFile: tenantsFile(t, FILE), planeToken: 'plane-secret' };
  const get = await startServer(t, { ...options, token: 'one-for-all', appToken: 'sidecar' });
  const named = { 'memplane-tenant': 'beta' };
  const read = async (headers: Record<string, string>) => await get('/v1/reader', headers);
  assert.deepEqual((await read({ ...bearer('plane-secret'), ...named })).body, { tenant: 'beta' });
  assert.deepEqual((await read(bearer('plane-secret'))).body, { tenant: 'default' });
  for (const one of ['acme-reads', 'one-for-all']) {
    expectProblem(await read({ ...bearer(one), ...named }), 'forbidden');
  }
  const odd = { ...bearer('plane-secret'), 'memplane-tenant': 'B:/..' };
  expectProblem(await read(odd), 'forbidden');
  const sidecar = (app: string) => ({ 'dapr-api-token': 'sidecar', 'dapr-caller-app-id': app });
  assert.deepEqual((await read({ ...sidecar('materializer'), ...named })).body, { tenant: 'beta' });
  expectProblem(await read({ ...sidecar('stranger'), ...named }), 'forbidden');
});

test('an application is believed from the own sidecar alone, and a token wins over it', async (t) => {
  const options = { routes: ROUTES, tenantsFile: tenantsFile(t, FILE), appToken: 'sidecar' };
  const get = await startServer(t, options);
  const by = (app: string, shown = 'sidecar') => ({
    'dapr-api-token': shown,
    'dapr-caller-app-id': app,
  });
  assert.deepEqual((await get('/v1/reader', by('billing'))).body, { tenant: 'beta' });
  expectProblem(await get('/v1/reader', by('billing', 'another')), 'unauthorized');
  expectProblem(await get('/v1/reader', by('stranger')), 'forbidden');
  expectProblem(await get('/v1/operator', by('billing')), 'forbidden');
  const both = { ...by('billing'), ...bearer('acme-reads') };
  assert.deepEqual((await get('/v1/reader', both)).body, { tenant: 'acme' });
  const wrong = { ...by('materializer'), ...bearer('none') };
  expectProblem(await get('/v1/reader', wrong), 'unauthorized');
});

test('without tenants nothing of it counts: one token, the tenant default, all roles', async (t) => {
  const get = await startServer(t, { routes: ROUTES, token: 'one-for-all' });
  const headers = { ...bearer('one-for-all'), 'memplane-tenant': 'beta' };
  for (const { operation } of ROUTES) {
    assert.deepEqual((await get(operation.path, headers)).body, { tenant: 'default' });
  }
  expectProblem(await get('/v1/reader'), 'unauthorized');
  assert.equal((await get('/readyz')).body['secret'], 'of all');
  const open = await startServer(t, { routes: ROUTES });
  assert.deepEqual((await open('/v1/nobody', { 'memplane-tenant': 'b' })).body, {
    tenant: 'default',
  });
});

test('what a service does for others is told to operators only', async (t) => {
  const get = await startServer(t, { routes: ROUTES, tenantsFile: tenantsFile(t, FILE) });
  for (const headers of [{}, bearer('acme-reads'), bearer('none')]) {
    assert.deepEqual(await get('/readyz', headers), { status: 200, body: { ready: true } });
  }
  assert.equal((await get('/readyz', bearer('ops'))).body['secret'], 'of all');
  expectProblem(await get('/metrics', bearer('acme-reads')), 'forbidden');
  assert.equal((await get('/metrics', bearer('ops'))).status, 200);
});

test('a tenant has its share of the requests under way, and leaves the rest to others', async (t) => {
  const gate = Promise.withResolvers<void>();
  const routes = [sayingRoute('reader', ({ tenant }) => (tenant === 'acme' ? gate.promise : {}))];
  const content = {
    ...FILE,
    tokens: [...FILE.tokens, token('b', 'beta', ['reader'])],
    tenant_inflight_requests_max: 2,
  };
  const get = await startServer(t, { routes, tenantsFile: tenantsFile(t, content) });
  const held = [1, 2].map(() => get('/v1/reader', bearer('acme-reads')));
  let reply = await get('/v1/reader', bearer('b'));
  for (let i = 0; i < 100 && reply.status !== 429; i++) {
    reply = await Promise.race([get('/v1/reader', bearer('acme-reads')), pause(20, reply)]);
  }
  assert.equal(reply.status, 429);
  assert.equal(reply.body['code'], 'quota_exceeded');
  assert.equal(reply.body['limit'], 'tenant_inflight_requests_max');
  assert.equal((await get('/v1/reader', bearer('b'))).status, 200);
  gate.resolve();
  for (const one of await Promise.all(held)) assert.equal(one.status, 200);
  assert.equal((await get('/v1/reader', bearer('acme-reads'))).status, 200);
});

test('a changed file counts soon, a broken one never', async (t) => {
  const file = tenantsFile(t, FILE);
  const get = await startServer(t, { routes: ROUTES, tenantsFile: file });
  const write = (text: string) => {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  };
  const until = async (name: string, status: number) => {
    for (let i = 0; i < 200; i++) {
      if ((await get('/v1/reader', bearer(name))).status === status) return;
      await pause(50);
    }
    assert.fail(`${name} never got ${status}`);
  };
  write(JSON.stringify({ ...FILE, tokens: [token('fresh', 'acme', ['reader'])] }));
  await until('fresh', 200);
  await until('acme-reads', 401);
  write('version: 1\ntokens: [{name: x}]');
  await pause(2_500);
  assert.equal((await get('/v1/reader', bearer('fresh'))).status, 200);
});

test('a file that is wrong is told with its place', async (t) => {
  const twice = { ...FILE, tokens: [FILE.tokens[0], FILE.tokens[0]] };
  const service = { ...FILE, apps: [{ appId: 'materializer', tenant: 'acme', roles: ['reader'] }] };
  const issuer = { issuer: 'i', audience: 'a', algorithms: ['RS256'] };
  const cases: [unknown, RegExp][] = [
    [{ ...FILE, version: 2 }, /file\.version/],
    [{ ...FILE, tokens: [{ ...FILE.tokens[0], token: 'acme-reads' }] }, /file\.tokens\[0\]\.token/],
    [{ ...FILE, tokens: [token('t', 'Acme', ['reader'])] }, /file\.tokens\[0\]\.tenant/],
    [{ ...FILE, tokens: [token('t', 'acme', ['root'])] }, /file\.tokens\[0\]\.roles\[0\]/],
    [twice, /file\.tokens\[1\]\.sha256 is there twice/],
    [service, /file\.apps\[0\]\.appId/],
    [{ ...FILE, issuers: [issuer] }, /exactly one of jwksUrl/],
    [{ ...FILE, issuers: [{ ...issuer, publicKey: 'x', algorithms: ['HS256'] }] }, /algorithms/],
    [{ ...FILE, issuers: [{ ...issuer, publicKey: 'x', algorithms: ['none'] }] }, /algorithms/],
    [{ ...FILE, issuers: [{ ...issuer, jwksUrl: 'http://keys.example.com/k' }] }, /jwksUrl/],
    [{ ...FILE, issuers: [{ ...issuer, publicKeyFile: 'none.pem' }] }, /none\.pem/],
  ];
  for (const [content, words] of cases) {
    const logger = createLogger('test', 'silent');
    const access = new Access({ token: undefined, tenantsFile: tenantsFile(t, content), logger });
    await assert.rejects(access.open(), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.match(error.message, words);
      return true;
    });
  }
});
