/**
 * Strong entities on a standalone plane: conditional appends, batches, fencing tokens, linearizable
 * reads, and a file of zones that changes meanwhile.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Memplane, MemplaneError } from '@memplane/client';
import { Plane, planeEntry } from '@memplane/testkit';

const STRONG = 'zones:\n  - {match: "session/*", consistency: strong}\n';
let dir: string;
let zones: string;
let plane: Plane;
let client: Memplane;

before(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'memplane-strong-'));
  zones = path.join(dir, 'zones.yaml');
  await writeZones(STRONG);
  const env = { MEMPLANE_ZONES: zones, MEMPLANE_ZONES_POLL_MS: '50' };
  plane = await Plane.start({ dataDir: path.join(dir, 'data'), env });
  client = new Memplane({ urls: urlsOf(plane), retries_max: 2 });
});
after(async () => {
  await plane.kill();
  await rm(dir, { recursive: true });
});

function urlsOf({ ingest, materializer, crdt, vectors }: Plane) {
  return {
    'event-ingest': ingest,
    materializer,
    'crdt-sync': crdt,
    'vector-index': vectors,
  };
}

const event = (entity: string, more: object = {}) => ({ type: 'Noted', entity, ...more });
const coded =
  (code: string, extra: object = {}) =>
  (error: unknown) => {
    assert.ok(error instanceof MemplaneError, String(error));
    assert.equal(error.code, code, error.message);
    for (const [name, value] of Object.entries(extra)) assert.deepEqual(error.extra[name], value);
    return true;
  };

async function untilZone(entity: string, zone: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const now = await client.zone(entity);
    if (now.zone === zone && now.changesTo === undefined) return;
    assert.ok(performance.now() < deadline, JSON.stringify(now));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('an append goes in at the sequence that it expects, or not at all', async () => {
  const [first] = await client.append([event('session/cas', { expectedSequence: 0, id: 'a' })]);
  assert.equal(first?.sequence, 1);
  const again = await client.append(event('session/cas', { expectedSequence: 0, id: 'a' }));
  assert.deepEqual([again.sequence, again.duplicate, again.offset], [1, true, first?.offset]);
  await assert.rejects(
    client.append(event('session/cas', { expectedSequence: 0 })),
    coded('sequence_conflict', { currentSequence: 1 }),
  );
  await assert.rejects(
    client.append(event('session/cas', { id: 'a', data: 'other' })),
    coded('id_reused'),
  );
  assert.equal((await client.entity('session/cas'))?.sequence, 1);
});

test('memplane zones explain says the zone, and why', async () => {
  const explain = async (entity: string, ...more: string[]) => {
    const args = [planeEntry(), 'zones', 'explain', entity, '--url', plane.ingest, ...more];
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 30_000 });
    return stdout.trim();
  };
  const words = await explain('session/9c1');
  assert.match(words, /^session\/9c1 is strong: the first rule that matches: session\/\*/);
  const json = JSON.parse(await explain('session/9c1', '--json')) as Record<string, unknown>;
  assert.deepEqual([json['zone'], json['rule']], ['strong', 'session/*']);
});

test('of many that expect one sequence, one gets in, each time', async () => {
  const entity = 'session/race';
  for (let round = 0; round < 8; round++) {
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, () => client.append(event(entity, { expectedSequence: round }))),
    );
    const inside = outcomes.filter(({ status }) => status === 'fulfilled');
    assert.equal(inside.length, 1, `round ${round}`);
    const view = await client.entity(entity, { after: null, consistency: 'linearizable' });
    assert.equal(view?.sequence, round + 1);
  }
});

test('a batch is all or none, in one piece, and what was known of it counts once', async () => {
  const entity = 'session/batch';
  await client.append(event(entity, { id: 'known' }));
  const ids = ['b0', 'known', 'b1', 'b0'];
  const batch = ids.map((id) => event(entity, { id }));
  const appended = await client.append(batch);
  assert.deepEqual(
    appended.map(({ sequence, duplicate }) => [sequence, duplicate]),
    [
      [2, false],
      [1, true],
      [3, false],
      [2, true],
    ],
  );
  const refused = [event(entity, { expectedSequence: 1 }), event(entity)];
  await assert.rejects(client.append(refused), coded('sequence_conflict'));
  const many = Array.from({ length: 101 }, () => event(entity));
  await assert.rejects(client.append(many), coded('strong_batch_too_large'));
  const large = Array.from({ length: 4 }, () => event(entity, { data: 'x'.repeat(200 * 1024) }));
  await assert.rejects(client.append(large), coded('strong_batch_too_large'));
  const hundred = Array.from({ length: 100 }, (_, i) => event(entity, { attributes: { n: i } }));
  await client.append(hundred);
  const page = await client.entityHistory(entity, { limit: 200 });
  const stamps = page?.events.map(({ event }) => [event['zone'], event['sequence']]);
  assert.deepEqual(
    stamps,
    Array.from({ length: 103 }, (_, i) => ['strong', i + 1]),
  );
});

test('ids that the head has forgotten are found in the view', async () => {
  const entity = 'session/long';
  for (let n = 0; n < 3; n++) {
    await client.append(Array.from({ length: 90 }, (_, i) => event(entity, { id: `${n}.${i}` })));
  }
  const again = await client.append([event(entity, { id: '0.7' }), event(entity, { id: 'new' })]);
  assert.deepEqual(
    again.map(({ duplicate }) => duplicate),
    [true, false],
  );
  assert.equal(again[1]?.sequence, 271);
});

test('what strong entities alone take is refused elsewhere, by the field', async () => {
  const refused: readonly [unknown, number, string, string][] = [
    [event('user/1', { expectedSequence: 0 }), 400, 'zone_not_strong', 'body.expectedSequence'],
    [event('user/1', { fencingToken: 1 }), 400, 'zone_not_strong', 'body.fencingToken'],
    [event('session/1', { fencingToken: 1 }), 400, 'invalid_event', 'body.lease'],
    [event('session/1', { lease: 'l' }), 400, 'invalid_event', 'body.fencingToken'],
    [event('session/1', { expectedSequence: -1 }), 400, 'invalid_event', 'body.expectedSequence'],
    [
      [event('session/1', { expectedSequence: 0 }), event('user/1')],
      400,
      'invalid_event',
      'body[0].expectedSequence',
    ],
    [
      [event('session/1'), event('session/1', { expectedSequence: 1 })],
      400,
      'invalid_event',
      'body[1].expectedSequence',
    ],
    [
      event('session/1', { lease: 'nobody', fencingToken: 3 }),
      409,
      'stale_fencing_token',
      'body.fencingToken',
    ],
  ];
  for (const [body, status, code, field] of refused) {
    const response = await fetch(`${plane.ingest}/v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const problem = (await response.json()) as Record<string, unknown>;
    assert.deepEqual([response.status, problem['code'], problem['field']], [status, code, field]);
  }
  assert.equal(await client.entity('session/1', { consistency: 'linearizable' }), null);
  await assert.rejects(
    client.entity('user/1', { consistency: 'linearizable' }),
    coded('zone_not_strong'),
  );
  const both = await client.append([event('session/1'), event('user/1')]);
  assert.deepEqual(
    both.map(({ sequence }) => sequence),
    [1, undefined],
  );
});

const lease = async (name: string, body?: object, query = '') => {
  const response = await fetch(`${plane.ingest}/v1/leases/${name}${query}`, {
    method: body === undefined ? 'DELETE' : 'PUT',
    headers: { 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const answer = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
  return { status: response.status, ...answer } as Record<string, unknown>;
};

test('a lease guards its entities until it is released; its token only rises', async () => {
  const entity = 'session/guarded';
  const entities = [entity];
  await client.append(event(entity));
  const first = await lease('guard', { holder: 'h1', ttlMs: 400, entities });
  assert.deepEqual([first['status'], first['fencingToken']], [200, 1]);
  assert.equal((await lease('guard', { holder: 'h2', ttlMs: 400 }))['code'], 'lease_held');
  const renewed = await lease('guard', { holder: 'h1', ttlMs: 400, fencingToken: 1 });
  assert.equal(renewed['fencingToken'], 1);
  await assert.rejects(client.append(event(entity)), coded('fencing_token_required'));
  await client.append(event(entity, { lease: 'guard', fencingToken: 1 }));
  const second = await lease('guard', { holder: 'h2', ttlMs: 400, waitMs: 5_000 });
  assert.equal(second['fencingToken'], 2);
  await assert.rejects(
    client.append(event(entity, { lease: 'guard', fencingToken: 1 })),
    coded('stale_fencing_token', { currentFencingToken: 2 }),
  );
  const stale = await lease('guard', { holder: 'h1', ttlMs: 400, fencingToken: 1 });
  assert.deepEqual([stale['code'], stale['field']], ['stale_fencing_token', 'body.fencingToken']);
  assert.equal((await lease('guard', undefined, '?fencingToken=1'))['status'], 409);
  assert.equal((await lease('guard', undefined, '?fencingToken=2'))['status'], 204);
  assert.equal((await lease('guard', undefined, '?fencingToken=2'))['status'], 204);
  await client.append(event(entity));
});

test('wrong leases are refused by their field', async () => {
  const ok = { holder: 'h', ttlMs: 1_000 };
  const cases: readonly [object, string, string][] = [
    [{ ttlMs: 1_000 }, 'invalid_request', 'body.holder'],
    [{ ...ok, ttlMs: 1 }, 'invalid_request', 'body.ttlMs'],
    [{ ...ok, ttlMs: 1e9 }, 'invalid_request', 'body.ttlMs'],
    [{ ...ok, entities: ['user/1'] }, 'zone_not_strong', 'body.entities[0]'],
    [{ ...ok, entities: ['nothing'] }, 'invalid_request', 'body.entities[0]'],
    [
      { ...ok, entities: Array.from({ length: 65 }, (_, i) => `session/${i}`) },
      'invalid_request',
      'body.entities',
    ],
    [{ ...ok, more: 1 }, 'invalid_request', 'body.more'],
  ];
  for (const [body, code, field] of cases) {
    const answer = await lease('wrong', body);
    assert.deepEqual([answer['code'], answer['field']], [code, field], JSON.stringify(body));
  }
  assert.equal((await lease('wrong', undefined))['code'], 'invalid_request');
  assert.equal((await lease('wrong', undefined, '?fencingToken=1'))['code'], 'not_found');
});

test('withLease lets one at a time in, and those that wait in their turn', async () => {
  const entity = 'session/turns';
  let inside = 0;
  const turns = Array.from({ length: 5 }, (_, turn) =>
    client.withLease(
      'turns',
      async (held) => {
        assert.equal(++inside, 1);
        const before =
          (await client.entity(entity, { consistency: 'linearizable' }))?.sequence ?? 0;
        const order = { ...held.guard, expectedSequence: before, attributes: { turn } };
        await client.append(event(entity, order));
        inside--;
        return held.fencingToken;
      },
      { ttlMs: 2_000, waitMs: 10_000, entities: [entity] },
    ),
  );
  const tokens = await Promise.all(turns);
  assert.deepEqual(tokens.toSorted(), [1, 2, 3, 4, 5]);
  assert.equal((await client.entity(entity))?.sequence, 5);
});

/** Whole at once: a file that is being written is a wrong one for a moment. */
async function writeZones(text: string): Promise<void> {
  await writeFile(`${zones}.new`, text);
  await rename(`${zones}.new`, zones);
}

test('a file of zones that changes is taken over, and one that is wrong is not', async () => {
  const entity = 'order/1';
  await client.append([event(entity), event(entity)]);
  await assert.rejects(
    client.append(event(entity, { expectedSequence: 2 })),
    coded('zone_not_strong'),
  );
  await writeZones(`${STRONG}  - {match: "order/*", consistency: strong}\n`);
  await untilZone(entity, 'strong');
  // Its head begins where the view is.
  assert.equal((await client.append(event(entity, { expectedSequence: 2 }))).sequence, 3);
  await writeZones(`${STRONG}  - {match: "order", consistency: strong}\n`);
  const deadline = performance.now() + 5_000;
  let wrong = await client.zone(entity);
  while (wrong.file?.problem === undefined) {
    assert.ok(performance.now() < deadline);
    wrong = await client.zone(entity);
  }
  assert.match(wrong.file.problem, /^line 3: zones\[1\]\.match must be kind\/id/);
  assert.equal(wrong.zone, 'strong');
  await writeZones(STRONG);
  await untilZone(entity, 'eventual');
  await client.append(event(entity));
  await writeZones(`${STRONG}  - {match: "order/*", consistency: strong}\n`);
  await untilZone(entity, 'strong');
  assert.equal((await client.append(event(entity, { expectedSequence: 4 }))).sequence, 5);
  assert.equal((await client.entity(entity, { consistency: 'linearizable' }))?.sequence, 5);
});

test('appends that go on while zones change are counted, each once', async () => {
  const entity = 'change/1';
  let isOver = false;
  /** By the zone in which events were appended. */
  const appends = { strong: 0, eventual: 0 };
  const impatient = new Memplane({ urls: urlsOf(plane), retries_max: 0 });
  const appending = Array.from({ length: 4 }, async (_, writer) => {
    let count = 0;
    while (!isOver) {
      try {
        const { sequence } = await impatient.append(event(entity, { id: `${writer}.${count}` }));
        appends[sequence === undefined ? 'eventual' : 'strong']++;
        count++;
      } catch (error) {
        coded('zone_changing')(error);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
    return count;
  });
  for (let change = 0; change < 3; change++) {
    for (const zone of ['strong', 'eventual'] as const) {
      const rule = zone === 'strong' ? '  - {match: "change/*", consistency: strong}\n' : '';
      await writeZones(STRONG + rule);
      await untilZone(entity, zone);
      const before = appends[zone];
      const deadline = performance.now() + 10_000;
      while (appends[zone] < before + 8) {
        assert.ok(performance.now() < deadline, `nothing is appended in a zone that is ${zone}`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
  }
  isOver = true;
  const counts = await Promise.all(appending);
  const all = counts.reduce((sum, count) => sum + count, 0);
  // Of the one that appended: it waits for what it was answered.
  const view = await impatient.entity(entity);
  assert.equal(view?.sequence, all);
  let from = 0;
  const strong: [number, number][] = [];
  for (let at = 1; at <= all; ) {
    const page = await client.entityHistory(entity, { from, limit: 1_000 });
    for (const entry of page?.events ?? []) {
      const { sequence } = entry.event as { sequence?: number };
      if (sequence !== undefined) strong.push([sequence, at]);
      from = entry.offset + 1;
      at++;
    }
  }
  assert.equal(strong.length, appends.strong);
  for (const [sequence, at] of strong) assert.equal(sequence, at);
});
