import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { Memplane } from '@memplane/client';
import {
  type Answer,
  type AppendAnswer,
  bearerOf,
  call,
  Plane,
  type PlaneService,
  ScratchFolder,
  type SearchAnswer,
  writeTenants,
} from '@memplane/testkit';
import { Redis } from 'ioredis';

const BOTH = ['writer', 'reader'];
const TOKENS = {
  acme: { tenant: 'acme', roles: BOTH },
  'acme-reads': { tenant: 'acme', roles: ['reader'] },
  'acme-writes': { tenant: 'acme', roles: ['writer'] },
  beta: { tenant: 'beta', roles: BOTH },
  ops: { tenant: 'default', roles: ['operator'] },
};
const ENTITY = 'user/42';
const folder = new ScratchFolder('tenants');
let plane: Plane;

before(async () => {
  const zones = `${folder.path}/zones.yaml`;
  writeFileSync(zones, 'zones: [{match: "session/*", consistency: strong}]\n');
  const env = {
    MEMPLANE_ZONES: zones,
    MEMPLANE_TENANTS: writeTenants(folder.path, TOKENS),
    MEMPLANE_TOKEN: 'of-default',
    MEMPLANE_EMBEDDING_DIMENSIONS: '4',
  };
  plane = await Plane.start({ dataDir: `${folder.path}/plane`, env });
});
after(async () => {
  await plane[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

type Call = [method: string, service: PlaneService, path: string, body?: unknown];

function as<T = Record<string, unknown>>(token: string, ...asked: Call): Promise<Answer<T>> {
  const [method, service, path, body] = asked;
  return call<T>(method, plane.url(service) + path, {
    headers: bearerOf(token),
    ...(body === undefined ? {} : { body }),
  });
}

/** The answer to one command on a connection that has said nothing yet. */
async function bare(...words: string[]): Promise<string> {
  const socket = connect(plane.ports.resp, '127.0.0.1');
  const parts = words.map((word) => `$${word.length}\r\n${word}\r\n`);
  socket.write(`*${words.length}\r\n${parts.join('')}`);
  const [answer] = await once(socket, 'data');
  socket.destroy();
  return String(answer);
}

async function append(token: string, ...events: object[]): Promise<AppendAnswer> {
  const body = events.map((event) => ({ type: 'Noted', entity: ENTITY, ...event }));
  const answer = await as<AppendAnswer>(token, 'POST', 'event-ingest', '/v1/events', body);
  assert.equal(answer.status, 201, answer.text);
  return answer.body;
}

test('of one entity and one id, each tenant has its own', async () => {
  const ours = await append('acme', { id: 'e1', attributes: { who: 'acme' } });
  const theirs = await append('beta', { id: 'e1', attributes: { who: 'beta' } });
  assert.equal(theirs.accepted[0]?.duplicate, false);
  assert.equal(
    (await append('acme', { id: 'e1', attributes: { who: 'acme' } })).accepted[0]?.duplicate,
    true,
  );
  for (const [token, { token: after }] of [
    ['acme', ours],
    ['beta', theirs],
  ] as const) {
    const path = `/v1/entities/${ENTITY}?after=${after}`;
    const view = await as(token, 'GET', 'materializer', path);
    assert.deepEqual(view.body['attributes'], { who: token });
    assert.equal(view.body['sequence'], 1);
    const event = await as<{ event: object }>(token, 'GET', 'materializer', `/v1/events?id=e1`);
    assert.equal((event.body.event as Record<string, unknown>)['tenant'], token);
  }
  const { token: after } = await append('acme', { id: 'only-acme', entity: 'user/43' });
  const wait = `after=${after}`;
  for (const path of [`/v1/entities/user/43?${wait}`, `/v1/events?id=only-acme&${wait}`]) {
    assert.equal((await as('acme', 'GET', 'materializer', path)).status, 200);
    assert.equal((await as('beta', 'GET', 'materializer', path)).status, 404);
    assert.equal((await as('of-default', 'GET', 'materializer', path)).status, 404);
  }
});

test('queries, histories, traces, replays and feeds show what is the own', async () => {
  const { token: after } = await append(
    'beta',
    { id: 'cause', attributes: { secret: 1 } },
    { id: 'effect', causationId: 'cause', entity: 'user/44' },
  );
  const body = { filter: {}, limit: 100, after };
  const found = async (token: string) => {
    const query = await as<{ entities: { entity: string }[] }>(
      token,
      'POST',
      'materializer',
      '/v1/query',
      body,
    );
    return query.body.entities.map(({ entity }) => entity).sort();
  };
  assert.deepEqual(await found('acme'), ['user/42', 'user/43']);
  assert.deepEqual(await found('beta'), ['user/42', 'user/44']);
  assert.deepEqual(await found('of-default'), []);
  const trace = (token: string) => as(token, 'GET', 'materializer', '/v1/trace?id=cause');
  assert.equal((await trace('beta')).status, 200);
  assert.equal((await trace('acme')).status, 404);
  const history = await as<{ events: unknown[] }>(
    'acme',
    'GET',
    'materializer',
    `/v1/entities/${ENTITY}/history`,
  );
  assert.equal(history.body.events.length, 1);
  const replay = await as<{ id: string; result: { entitiesTotal: number } }>(
    'acme',
    'POST',
    'materializer',
    '/v1/replays',
    {},
  );
  assert.equal(replay.body.result.entitiesTotal, 2);
  const { id } = replay.body;
  assert.equal((await as('acme', 'GET', 'materializer', `/v1/replays/${id}`)).status, 200);
  assert.equal((await as('beta', 'GET', 'materializer', `/v1/replays/${id}`)).status, 404);
  for (const topic of ['agent-events', 'memory-views']) {
    const tenants = new Set<string>();
    for (let partition = 0; partition < 12; partition++) {
      const path = `/v1/feeds/${topic}?partition=${partition}`;
      const { text } = await as('acme', 'GET', 'materializer', path);
      for (const line of text.split('\n').filter((one) => one !== '')) {
        const { event, view } = JSON.parse(line);
        tenants.add((event ?? view).tenant);
      }
    }
    assert.deepEqual([...tenants], ['acme']);
  }
});

test('derived counters are of a tenant each', async () => {
  const counter = (token: string) =>
    as<{ value: number }>(token, 'GET', 'crdt-sync', '/v1/counters/events_total');
  await append('acme', { id: 's', type: 'SessionStarted', entity: 'session/1' });
  let values: unknown[] = [];
  for (let i = 0; i < 100; i++) {
    values = [(await counter('acme')).body.value, (await counter('beta')).body.value];
    if (values[0] === 3 && values[1] === 3) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.deepEqual(values, [3, 3]);
});

test('a search finds the own memories, ranked by the own words', async () => {
  const vector = [1, 0, 0, 0];
  const memory = (text: string) => ({ id: 'm', text, embedding: { model: 'm', values: vector } });
  const { token: ours } = await append('acme', { id: 'm1', memory: memory('a brass lantern') });
  const { token: theirs } = await append('beta', {
    id: 'm1',
    memory: memory('a brass lantern of beta'),
  });
  const search = async (token: string, what: object) => {
    const body = { topK: 10, after: [ours, theirs], waitMs: 20_000, ...what };
    const answer = await as<SearchAnswer>(token, 'POST', 'vector-index', '/v1/search', body);
    assert.equal(answer.status, 200, answer.text);
    return answer.body.results.map(({ memory: { text } }) => text);
  };
  for (const what of [{ text: 'lantern' }, { vector }, { text: 'lantern', entity: ENTITY }]) {
    assert.deepEqual(await search('acme', what), ['a brass lantern']);
    assert.deepEqual(await search('beta', what), ['a brass lantern of beta']);
    assert.deepEqual(await search('of-default', what), []);
  }
  assert.deepEqual(await search('acme', { text: 'beta' }), []);
  assert.deepEqual(await search('acme', { text: 'lantern', asOf: `token:${ours}` }), [
    'a brass lantern',
  ]);
});

test('names of values are of a tenant, over HTTP and over RESP', async () => {
  const path = '/v1/counters/c/increments';
  assert.equal((await as('acme', 'POST', 'crdt-sync', path, { by: 5 })).status, 200);
  const value = await as('beta', 'GET', 'crdt-sync', '/v1/counters/c');
  const miss = await as('beta', 'GET', 'crdt-sync', '/v1/counters/never');
  assert.deepEqual(value, { ...miss, headers: value.headers });
  const redis = (password: string) =>
    new Redis({
      port: plane.ports.resp,
      enableReadyCheck: false,
      maxRetriesPerRequest: 0,
      password,
    });
  const [ours, theirs, reader, writer] = [
    redis('acme'),
    redis('beta'),
    redis('acme-reads'),
    redis('acme-writes'),
  ];
  try {
    assert.equal(await ours.call('CRDT.GET', 'c'), 5);
    assert.equal(await ours.call('CRDT.INCR', 'c', '1'), 6);
    assert.equal(await theirs.call('CRDT.GET', 'c'), 0);
    assert.equal(await theirs.call('CRDT.SADD', 'c', 'x'), 1);
    assert.equal(await reader.call('CRDT.GET', 'c'), 6);
    await assert.rejects(reader.call('CRDT.INCR', 'c', '1'), /^ReplyError: NOPERM/);
    assert.equal(await writer.call('CRDT.INCR', 'c', '1'), 7);
    await assert.rejects(writer.call('CRDT.GET', 'c'), /^ReplyError: NOPERM/);
    assert.match(await bare('CRDT.GET', 'c'), /^-NOAUTH /);
    assert.match(await bare('AUTH', 'none'), /^-WRONGPASS /);
    assert.ok(!(await ours.info()).includes('commits'));
  } finally {
    for (const one of [ours, theirs, reader, writer]) one.disconnect();
  }
});

test('roles are what a token has, and nobody names another tenant', async () => {
  const events: Call = ['POST', 'event-ingest', '/v1/events', { type: 'T', entity: ENTITY }];
  const view: Call = ['GET', 'materializer', `/v1/entities/${ENTITY}`];
  const shards: Call = ['GET', 'materializer', '/v1/shards'];
  const members: Call = ['GET', 'crdt-sync', '/v1/members'];
  const index: Call = ['GET', 'vector-index', '/v1/index'];
  for (const [token, asked, status] of [
    ['acme-reads', events, 403],
    ['acme-writes', events, 201],
    ['acme-writes', view, 403],
    ['acme', shards, 403],
    ['acme', members, 403],
    ['acme', index, 403],
    ['ops', shards, 200],
    ['ops', members, 200],
    ['ops', index, 200],
    ['ops', view, 403],
    ['none', view, 401],
  ] as const) {
    assert.equal((await as(token, ...asked)).status, status, `${token} ${asked}`);
  }
  const part = { logId: 'l', epoch: 0, offset: 0, value: 9 };
  const put: Call = ['PUT', 'crdt-sync', '/v1/counters/events_total/partitions/0', part];
  assert.equal((await as('acme', ...put)).status, 403);
  const url = `${plane.materializer}/v1/entities/${ENTITY}`;
  const headers = { ...bearerOf('acme'), 'memplane-tenant': 'beta' };
  assert.equal((await call('GET', url, { headers })).status, 403);
  const cloud = {
    specversion: '1.0',
    id: 'x',
    type: 'T',
    source: 's',
    subject: ENTITY,
    tenant: 'beta',
    data: {},
  };
  assert.equal((await as('acme', 'POST', 'event-ingest', '/v1/events', cloud)).status, 400);
  const cut = { tenant: 'beta', asOf: 'event:e1', entity: ENTITY };
  assert.equal((await as('acme', 'POST', 'materializer', '/v1/cuts', cut)).status, 403);
});

test('the client works as it does with one tenant', async () => {
  const urls = {
    'event-ingest': plane.ingest,
    materializer: plane.materializer,
    'crdt-sync': plane.crdt,
    'vector-index': plane.vectors,
  };
  const client = new Memplane({ urls, token: 'acme', tenant: 'acme' });
  await client.append({ type: 'Noted', entity: 'user/77', attributes: { by: 'client' } });
  const view = await client.entity('user/77');
  assert.deepEqual(view?.attributes, { by: 'client' });
  await client.add('The lantern is made of brass.', { userId: '77' });
  assert.equal((await client.search('lantern', { userId: '77' })).length, 1);
  assert.equal(await client.counter('visits').increment(2), 2);
});

test('of one strong entity and one lease, each tenant has its own', async () => {
  const entity = 'session/s1';
  const strong = (token: string, event: object) =>
    as<AppendAnswer>(token, 'POST', 'event-ingest', '/v1/events', {
      ...{ type: 'Noted', entity, ...event },
    });
  const first = await strong('acme', { id: 'a1', expectedSequence: 0, attributes: { n: 'acme' } });
  assert.equal(first.status, 201, first.text);
  const second = await strong('acme', { id: 'a2', expectedSequence: 1 });
  assert.equal(second.status, 201, second.text);
  // The other tenant's begins at nothing, and knows none of these ids.
  const theirs = await strong('beta', { id: 'a1', expectedSequence: 0, attributes: { n: 'beta' } });
  assert.equal(theirs.status, 201, theirs.text);
  for (const [token, sequence] of [
    ['acme', 2],
    ['beta', 1],
  ] as const) {
    const path = `/v1/entities/${entity}?consistency=linearizable`;
    const view = await as(token, 'GET', 'materializer', path);
    assert.deepEqual([view.status, view.body['sequence']], [200, sequence], view.text);
    assert.deepEqual(view.body['attributes'], { n: token });
  }
  const take = (token: string) =>
    as(token, 'PUT', 'event-ingest', '/v1/leases/leader', { holder: token, ttlMs: 60_000 });
  for (const token of ['acme', 'beta']) {
    const taken = await take(token);
    assert.deepEqual([taken.status, taken.body['fencingToken']], [200, 1], taken.text);
  }
  assert.equal((await take('acme-reads')).status, 403);
  assert.equal((await as('acme', 'POST', 'event-ingest', `/v1/heads/${entity}`)).status, 403);
});
