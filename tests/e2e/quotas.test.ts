/** What a tenant may append in a second, and have stored, on a plane of its own. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import {
  type Answer,
  bearerOf,
  call,
  eventually,
  Plane,
  planeEntry,
  portsInRow,
  ScratchFolder,
  writeTenants,
} from '@memplane/testkit';

const ROLES = ['writer', 'reader'];
const TOKENS = {
  acme: { tenant: 'acme', roles: ROLES },
  beta: { tenant: 'beta', roles: ROLES },
  full: { tenant: 'full', roles: ROLES },
  ops: { tenant: 'default', roles: ['operator'] },
};
/** So slow that nothing comes back while the test runs. */
const SLOW = { events_per_second_max: 1 };
const STORED = { memories_max: 3, state_bytes_max: 1_000_000 };
const folder = new ScratchFolder('quotas');
let plane: Plane;

before(async () => {
  const file = writeTenants(folder.path, TOKENS, {
    tenant_quotas: { acme: SLOW, full: STORED },
  });
  plane = await Plane.start({
    dataDir: `${folder.path}/plane`,
    ports: await portsInRow(),
    env: { MEMPLANE_TENANTS: file, MEMPLANE_LAG_POLL_MS: '100' },
    readyTimeoutMs: 240_000,
  });
});
after(async () => {
  await plane[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

function append(token: string, count: number): Promise<Answer<Record<string, unknown>>> {
  const body = Array.from({ length: count }, () => ({ type: 'Noted', entity: 'user/1' }));
  return call('POST', `${plane.ingest}/v1/events`, { headers: bearerOf(token), body });
}

test('beyond its rate a tenant is refused with the limit, and nobody else', async () => {
  assert.equal((await append('acme', 1000)).status, 201);
  const { status, body, headers } = await append('acme', 1);
  assert.deepEqual([status, body['code']], [429, 'quota_exceeded']);
  assert.deepEqual([body['limit'], body['value']], ['events_per_second_max', 1]);
  assert.ok(Number(body['used']) > 500, String(body['used']));
  assert.ok(Number(headers['retry-after']) > 500);
  assert.equal((await append('beta', 1000)).status, 201);
  assert.equal((await append('beta', 1000)).status, 201);
});

test('limits are told by the API, the command and the metrics', async () => {
  const url = `${plane.ingest}/v1/quotas`;
  const told = await call<{ quotas: object[] }>('GET', url, { headers: bearerOf('beta') });
  const { quotas, ...rest } = told.body;
  assert.deepEqual(rest, { tenant: 'beta' });
  assert.deepEqual(quotas.slice(0, 2), [
    { limit: 'events_per_second_max', used: 0 },
    { limit: 'bytes_per_second_max', used: 0 },
  ]);
  const args = [planeEntry(), 'quotas', '--url', plane.ingest];
  const env = { ...process.env, MEMPLANE_TOKEN: 'acme' };
  const { stdout } = await promisify(execFile)(process.execPath, args, { env });
  assert.match(stdout, /^events_per_second_max\t1\t\d{3,4}$/m);
  assert.match(stdout, /^bytes_per_second_max\tnone\t0$/m);
  const metrics = await call('GET', `${plane.ingest}/metrics`, { headers: bearerOf('ops') });
  assert.match(metrics.text, /memplane_ingest_quota_limit\{[^}]*tenant="acme"[^}]*\} 1$/m);
  assert.ok(!metrics.text.includes('tenant="beta"'));
});

function remember(token: string, ...ids: string[]): Promise<Answer<Record<string, unknown>>> {
  const body = ids.map((id) => ({ type: 'Noted', entity: 'user/1', memory: { id, text: 'tea' } }));
  return call('POST', `${plane.ingest}/v1/events`, { headers: bearerOf(token), body });
}

function refused(token: string, id: string): Promise<Record<string, unknown>> {
  return eventually('a refusal', 30_000, async () => {
    const { status, body } = await remember(token, id);
    return status === 201 ? undefined : { status, ...body };
  });
}

function accepted(token: string, id: string): Promise<true> {
  return eventually('an acceptance', 30_000, async () =>
    (await remember(token, id)).status === 201 ? true : undefined,
  );
}

test('at what it may have stored a tenant is refused, and nobody else; it goes on with less, or more', async () => {
  assert.equal((await remember('full', 'a', 'b', 'c', 'd')).status, 201);
  // The same memory again: whenever the views tell, there are four.
  const { used, detail: _, instance: __, ...problem } = await refused('full', 'd');
  assert.equal(used, 4);
  assert.deepEqual(
    [problem['status'], problem['code'], problem['field']],
    [403, 'stored_quota_exceeded', 'body[0]'],
  );
  assert.deepEqual([problem['limit'], problem['value']], ['memories_max', 3]);
  assert.equal((await append('full', 1)).status, 201, 'no memory');
  assert.equal((await remember('beta', 'a', 'b', 'c', 'd')).status, 201);

  const args = [planeEntry(), 'quotas', '--url', plane.ingest];
  const env = { ...process.env, MEMPLANE_TOKEN: 'full' };
  const { stdout } = await promisify(execFile)(process.execPath, args, { env });
  assert.match(stdout, /^memories_max\t3\t4$/m);
  assert.match(stdout, /^state_bytes_max\t1000000\t[1-9]\d{2,}$/m);
  assert.match(stdout, /^events_total_max\tnone\t\d+$/m);
  const metrics = await call('GET', `${plane.ingest}/metrics`, { headers: bearerOf('ops') });
  const gauge = (name: string, value: number) =>
    new RegExp(
      `memplane_ingest_quota_${name}\\{(?=[^}]*tenant="full")[^}]*limit="memories_max"[^}]*\\} ${value}$`,
      'm',
    );
  assert.match(metrics.text, gauge('used', 4));
  assert.match(metrics.text, gauge('limit', 3));

  const forgotten = ['a', 'b'].map((id) => ({
    type: 'Noted',
    entity: 'user/1',
    memory: { id, forgotten: true },
  }));
  const url = `${plane.ingest}/v1/events`;
  const less = await call('POST', url, { headers: bearerOf('full'), body: forgotten });
  assert.equal(less.status, 201);
  await accepted('full', 'e');
  await refused('full', 'e');
  const quotas = { acme: SLOW, full: { ...STORED, memories_max: 4 } };
  writeTenants(folder.path, TOKENS, { tenant_quotas: quotas });
  await accepted('full', 'f');
});

test('a file with another limit counts soon', async () => {
  writeTenants(folder.path, TOKENS, { quotas: { bytes_per_second_max: 1_000_000 } });
  await eventually('the new limit', 30_000, async () =>
    (await append('acme', 1)).status === 201 ? true : undefined,
  );
  const url = `${plane.ingest}/v1/quotas`;
  const told = await call<{ quotas: { value?: number }[] }>('GET', url, {
    headers: bearerOf('beta'),
  });
  assert.deepEqual(
    told.body.quotas.map(({ value }) => value),
    [undefined, 1_000_000, undefined, undefined, undefined],
  );
});
