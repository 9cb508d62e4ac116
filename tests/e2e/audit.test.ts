/** Who asked for what and was refused what, as auditors read it from a plane of its own. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import {
  bearerOf,
  call,
  eventually,
  Plane,
  type PlaneService,
  planeEntry,
  portsInRow,
  ScratchFolder,
  writeTenants,
} from '@memplane/testkit';

const TOKENS = {
  acme: { tenant: 'acme', roles: ['writer', 'reader'] },
  'acme-audits': { tenant: 'acme', roles: ['auditor'] },
  beta: { tenant: 'beta', roles: ['writer', 'reader'] },
  'beta-audits': { tenant: 'beta', roles: ['auditor'] },
  ops: { tenant: 'default', roles: ['operator'] },
  audits: { tenant: 'default', roles: ['auditor'] },
};
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SECRET = 'a-payload-that-is-nobodys-business';
const folder = new ScratchFolder('audit');
let plane: Plane;

before(async () => {
  const ports = await portsInRow();
  plane = await Plane.start({ dataDir: `${folder.path}/plane`, ports, env: env({}) });
});
after(async () => {
  await plane[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

function env(more: Record<string, string>): Record<string, string> {
  return { MEMPLANE_TENANTS: writeTenants(folder.path, TOKENS), ...more };
}

interface Kept {
  readonly tenant: string;
  readonly subject: string;
  readonly operation: string;
  readonly outcome: string;
  readonly service: string;
  readonly target?: string;
  readonly address?: string;
  readonly traceId?: string;
  readonly time: string;
  readonly count: number;
}
interface Page {
  readonly records: readonly Kept[];
  readonly next?: string;
  readonly recording: string;
}

async function ask(
  token: string | undefined,
  method: string,
  service: PlaneService,
  path: string,
  body?: unknown,
): Promise<number> {
  const headers = {
    ...(token === undefined ? {} : bearerOf(token)),
    traceparent: `00-${TRACE}-00f067aa0ba902b7-01`,
  };
  const url = plane.url(service) + path;
  const more = body === undefined ? {} : { body };
  return (await call(method, url, { headers, ...more })).status;
}

async function page(token: string, query = ''): Promise<Page> {
  const url = `${plane.materializer}/v1/audit?${query}`;
  const answer = await call<Page>('GET', url, { headers: bearerOf(token) });
  assert.equal(answer.status, 200, answer.text);
  return answer.body;
}

/** All that an auditor sees, once it has what is waited for. */
function seen(
  token: string,
  isEnough: (records: readonly Kept[]) => boolean,
  query = '',
): Promise<readonly Kept[]> {
  return eventually('records of the audit', 20_000, async () => {
    const { records } = await page(token, `limit=1000&${query}`);
    return isEnough(records) ? records : undefined;
  });
}

const count = (records: readonly Kept[]) => records.reduce((sum, one) => sum + one.count, 0);

test('refusals of every service are there, once each, with who and what, and without payloads', async () => {
  const body = { type: 'Noted', entity: 'user/1', data: SECRET };
  const denied: [PlaneService, string, string, unknown?][] = [
    ['materializer', 'GET', '/v1/shards'],
    ['materializer', 'GET', '/v1/audit'],
    ['event-ingest', 'GET', '/v1/zones?entity=user/1'],
    ['crdt-sync', 'GET', '/v1/members'],
    ['vector-index', 'GET', '/v1/index'],
  ];
  for (const [service, method, path] of denied) {
    assert.equal(await ask('acme', method, service, path), 403, path);
  }
  assert.equal(await ask('acme-audits', 'GET', 'materializer', '/v1/entities/user/1'), 403);
  assert.equal(await ask('acme-audits', 'POST', 'event-ingest', '/v1/events', body), 403);
  assert.equal(await ask('acme', 'POST', 'event-ingest', '/v1/events', body), 201);
  const records = await seen('acme-audits', (all) => count(all) >= 7);
  assert.equal(count(records), 7);
  for (const one of records) {
    assert.equal(one.outcome, 'forbidden');
    assert.equal(one.tenant, 'acme');
    assert.equal(one.traceId, TRACE);
    assert.ok(Math.abs(Date.parse(one.time) - Date.now()) < 60_000);
  }
  const keys = records.map((one) => `${one.subject} ${one.service} ${one.operation} ${one.target}`);
  assert.deepEqual(keys.sort(), [
    'token:acme crdt-sync getMembers undefined',
    'token:acme event-ingest getZone user/1',
    'token:acme materializer getAudit undefined',
    'token:acme materializer getShards undefined',
    'token:acme vector-index indexStatus undefined',
    'token:acme-audits event-ingest appendEvents undefined',
    'token:acme-audits materializer getEntity user/1',
  ]);
  const text = JSON.stringify(records);
  for (const secret of [SECRET, 'Bearer', 'sha256']) assert.ok(!text.includes(secret));
});

test('an auditor sees its own tenant, and nobody but an auditor sees any', async () => {
  assert.equal(await ask('beta', 'GET', 'materializer', '/v1/shards'), 403);
  const theirs = await seen('beta-audits', (all) => all.length > 0);
  assert.ok(theirs.every(({ tenant }) => tenant === 'beta'));
  assert.ok((await page('acme-audits')).records.every(({ tenant }) => tenant === 'acme'));
  for (const token of ['acme', 'ops']) {
    assert.equal(await ask(token, 'GET', 'materializer', '/v1/audit'), 403);
  }
  // Where they are kept is nobody's: neither by name nor by a header.
  const day = new Date().toISOString().slice(0, 10);
  const path = `/v1/entities/audit/acme.${day}/history`;
  assert.equal(await ask('acme', 'GET', 'materializer', path), 404);
  const headers = { ...bearerOf('acme'), 'memplane-tenant': 'memplane-audit' };
  assert.equal((await call('GET', plane.materializer + path, { headers })).status, 403);
  const forged = { records: [] };
  assert.equal(await ask('acme', 'POST', 'event-ingest', '/v1/audit-records', forged), 403);
});

test('callers whom nobody knows are of the plane, counted whatever they send', async () => {
  const TIMES = 50;
  for (let i = 0; i < TIMES; i++) {
    assert.equal(await ask(`wrong-${i}`, 'GET', 'materializer', `/v1/entities/user/${i}`), 401);
  }
  const socket = connect(plane.ports.resp, '127.0.0.1');
  socket.end('AUTH wrong\r\nCRDT.GET n\r\n');
  const records = await seen('audits', (all) => count(all) >= TIMES + 2, 'outcome=unauthorized');
  const http = records.filter(({ service }) => service === 'materializer');
  assert.equal(count(http.filter(({ operation }) => operation === 'getEntity')), TIMES);
  assert.ok(http.length < TIMES / 2, 'calls that differ in nothing are put together');
  assert.ok(
    records.every((one) => one.subject === 'unknown' && one.address?.includes('127.0.0.1')),
  );
  assert.ok(!JSON.stringify(records).includes('wrong-'));
  const resp = records.filter(({ service }) => service === 'crdt-sync');
  assert.deepEqual(resp.map(({ operation }) => operation).sort(), ['AUTH', 'CRDT.GET']);
});

test('pages, filters and a feed that goes on', async () => {
  const all = (await page('acme-audits', 'limit=1000')).records;
  const paged: Kept[] = [];
  let next: string | undefined;
  for (;;) {
    const got: Page = await page('acme-audits', `limit=2${next ? `&cursor=${next}` : ''}`);
    if (got.records.length === 0) break;
    paged.push(...got.records);
    next = got.next;
  }
  assert.deepEqual(paged, all);
  const filtered = await page('acme-audits', 'subject=token:acme-audits&operation=getEntity');
  assert.equal(count(filtered.records), 1);
  assert.equal((await page('acme-audits', 'outcome=quota_exceeded')).records.length, 0);
  const past = 'from=2020-01-01T00:00:00Z&to=2020-02-01T00:00:00Z';
  assert.deepEqual(await page('acme-audits', past), { records: [], recording: 'refusals' });
  for (const query of ['from=yesterday', 'cursor=x', 'limit=0']) {
    const url = `${plane.materializer}/v1/audit?${query}`;
    assert.equal((await call('GET', url, { headers: bearerOf('acme-audits') })).status, 400, query);
  }
  const following = page('acme-audits', `cursor=${next}&waitMs=20000`);
  assert.equal(await ask('acme', 'POST', 'crdt-sync', '/v1/reconciliations', {}), 403);
  assert.deepEqual(
    (await following).records.map(({ operation }) => operation),
    ['reconcile'],
  );
});

test('memplane audit shows it', async () => {
  const args = [planeEntry(), 'audit', '--url', plane.ingest, '--outcome', 'forbidden', '--json'];
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    env: { ...process.env, MEMPLANE_TOKEN: 'acme-audits' },
  });
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Kept);
  assert.ok(lines.length >= 7);
  assert.ok(lines.every(({ tenant }) => tenant === 'acme'));
});

test('no refusal is lost to kill -9, none is there twice, and all is recorded where that is set', async () => {
  // Where all is recorded, looking at the audit is so too.
  const refusals = 'outcome=forbidden';
  const before_ = count((await page('beta-audits', `limit=1000&${refusals}`)).records);
  const TIMES = 20;
  for (let i = 0; i < TIMES; i++) {
    assert.equal(await ask('beta', 'GET', 'materializer', '/v1/shards'), 403);
  }
  await plane.kill();
  plane = await plane.again(env({ MEMPLANE_AUDIT: 'all' }));
  const refused = await seen('beta-audits', (all) => count(all) >= before_ + TIMES, refusals);
  assert.equal(count(refused), before_ + TIMES);
  // The next flush would bring what was sent again.
  await ask('beta', 'GET', 'materializer', '/v1/entities/user/none');
  await ask('beta', 'POST', 'event-ingest', '/v1/events', { type: 'Noted', entity: 'user/7' });
  const all = await seen('beta-audits', (records) =>
    ['getEntity', 'appendEvents'].every((id) => records.some(({ operation }) => operation === id)),
  );
  const read = all.find(({ operation }) => operation === 'getEntity');
  assert.deepEqual([read?.target, read?.outcome], ['user/none', 'not_found']);
  const written = all.find(({ operation }) => operation === 'appendEvents');
  assert.deepEqual([written?.target, written?.outcome], ['user/7', 'ok']);
  const still = all.filter(({ outcome }) => outcome === 'forbidden');
  assert.equal(count(still), before_ + TIMES);
});
