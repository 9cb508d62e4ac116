/** What a tenant may append in a second, on a plane of its own. */
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
  ops: { tenant: 'default', roles: ['operator'] },
};
/** So slow that nothing comes back while the test runs. */
const SLOW = { events_per_second_max: 1 };
const folder = new ScratchFolder('quotas');
let plane: Plane;

before(async () => {
  const file = writeTenants(folder.path, TOKENS, { tenant_quotas: { acme: SLOW } });
  plane = await Plane.start({
    dataDir: `${folder.path}/plane`,
    ports: await portsInRow(),
    env: { MEMPLANE_TENANTS: file },
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
  assert.deepEqual(told.body, {
    tenant: 'beta',
    quotas: [
      { limit: 'events_per_second_max', used: 0 },
      { limit: 'bytes_per_second_max', used: 0 },
    ],
  });
  const args = [planeEntry(), 'quotas', '--url', plane.ingest];
  const env = { ...process.env, MEMPLANE_TOKEN: 'acme' };
  const { stdout } = await promisify(execFile)(process.execPath, args, { env });
  assert.match(stdout, /^events_per_second_max\t1\t\d{3,4}$/m);
  assert.match(stdout, /^bytes_per_second_max\tnone\t0$/m);
  const metrics = await call('GET', `${plane.ingest}/metrics`, { headers: bearerOf('ops') });
  assert.match(metrics.text, /memplane_ingest_quota_limit\{[^}]*tenant="acme"[^}]*\} 1$/m);
  assert.ok(!metrics.text.includes('tenant="beta"'));
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
    [undefined, 1_000_000],
  );
});
