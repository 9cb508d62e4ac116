/**
 * Strong entities on real servers: two instances of event-ingest, each with its own sidecar, on etcd
 * and Kafka; the views by a materializer of its own process.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { StrongPlane, type TestAnswer } from './testing-strong-plane.ts';

const plane = new StrongPlane();
const REGISTRATION_MS = 3_000;

before(() =>
  plane.start('zones: [{match: "session/*", consistency: strong}]\n', async () => ({
    MEMPLANE_ZONE_REGISTRATION_MS: String(REGISTRATION_MS),
  })),
);
after(() => plane[Symbol.asyncDispose]());

const at = (instance: number) => plane.ingests[instance % 2] ?? '';
const append = (instance: number, body: unknown) =>
  plane.call('POST', `${at(instance)}/v1/events`, body);
const event = (entity: string, more: object = {}) => ({ type: 'Noted', entity, ...more });
const read = (entity: string) =>
  plane.call('GET', `${plane.views}/v1/entities/${entity}?consistency=linearizable&waitMs=10000`);

test('of two instances that expect one sequence, one gets in, and reads see it at once', async () => {
  for (let round = 0; round < 5; round++) {
    const body = event('session/race', { expectedSequence: round });
    const answers = await Promise.all([0, 1, 0, 1].map((instance) => append(instance, body)));
    const inside = answers.filter(({ status }) => status === 201);
    assert.equal(inside.length, 1, JSON.stringify(answers));
    assert.equal((await read('session/race'))['sequence'], round + 1);
  }
});

test('both count one entity up, without a gap, with ids that come twice', async () => {
  const entity = 'session/both';
  const writers = Array.from({ length: 4 }, async (_, writer) => {
    for (let n = 0; n < 6; n++) {
      const batch = [0, 1].map((i) => event(entity, { id: `${writer}.${n}.${i}` }));
      for (const instance of [writer, writer + 1]) {
        const answer = await append(instance, batch);
        assert.equal(answer.status, 201, JSON.stringify(answer));
      }
    }
  });
  await Promise.all(writers);
  assert.equal((await read(entity))['sequence'], 48);
  const page = await plane.call('GET', `${plane.views}/v1/entities/${entity}/history?limit=100`);
  const events = page['events'] as { event: { sequence: number } }[];
  assert.deepEqual(
    events.map(({ event: { sequence } }) => sequence),
    events.map((_, i) => i + 1),
  );
});

test('a lease moves from one instance to the other by time alone, and fences', async () => {
  const entity = 'session/fenced';
  const put = (instance: number, body: object) =>
    plane.call('PUT', `${at(instance)}/v1/leases/fence`, {
      ttlMs: 800,
      entities: [entity],
      ...body,
    });
  assert.equal((await put(0, { holder: 'a' }))['fencingToken'], 1);
  assert.equal((await put(1, { holder: 'b' }))['code'], 'lease_held');
  const taken = await put(1, { holder: 'b', waitMs: 10_000 });
  assert.equal(taken['fencingToken'], 2, JSON.stringify(taken));
  const stale = await append(0, event(entity, { lease: 'fence', fencingToken: 1 }));
  assert.equal(stale['code'], 'stale_fencing_token');
  assert.equal((await append(0, event(entity)))['code'], 'fencing_token_required');
  const inside = await append(0, event(entity, { lease: 'fence', fencingToken: 2 }));
  assert.equal(inside.status, 201, JSON.stringify(inside));
  const released = await plane.call('DELETE', `${at(0)}/v1/leases/fence?fencingToken=2`);
  assert.equal(released.status, 204);
  assert.equal((await append(1, event(entity))).status, 201);
});

test('a change of zones waits for both, and is kept by both', async () => {
  const entity = 'order/1';
  const appended = await Promise.all([0, 1].map((instance) => append(instance, event(entity))));
  for (const { status } of appended) assert.equal(status, 201);
  const rules =
    '{match: "session/*", consistency: strong}, {match: "order/*", consistency: strong}';
  await writeFile(plane.zonesFile, `zones: [${rules}]\n`);
  const deadline = performance.now() + 10_000;
  for (const instance of [0, 1]) {
    for (;;) {
      const zone = await plane.call('GET', `${at(instance)}/v1/zones?entity=${entity}`);
      if (zone['zone'] === 'strong' && zone['changesTo'] === undefined) break;
      assert.ok(performance.now() < deadline, JSON.stringify(zone));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  const first = await append(0, event(entity, { expectedSequence: 2 }));
  assert.equal(first.status, 201, JSON.stringify(first));
  assert.equal((await append(1, event(entity, { expectedSequence: 2 })))['currentSequence'], 3);
});

test('without etcd strong entities are refused, eventual ones later, until it is back', async () => {
  await plane.servers.server('etcd').kill();
  const lostAt = performance.now();
  // Others could change the zones without it once the registration has run out.
  const refusing = until(
    (answer) => answer.status !== 201,
    () => append(0, event('user/away')),
  ).then((answer) => ({ answer, heldMs: performance.now() - lostAt }));
  const strong = await append(0, event('session/away'));
  assert.deepEqual([strong.status, strong['code']], [503, 'no_quorum']);
  const linearizable = await read('session/race');
  assert.deepEqual([linearizable.status, linearizable['code']], [503, 'no_quorum']);
  const { answer: refused, heldMs } = await refusing;
  assert.deepEqual([refused.status, refused['code']], [503, 'no_quorum']);
  assert.ok(heldMs <= REGISTRATION_MS + 1_000, `it went on for ${heldMs} ms`);
  assert.equal((await plane.call('GET', `${at(0)}/readyz`)).status, 503);
  await plane.servers.server('etcd').start();
  for (const entity of ['user/away', 'session/away']) {
    const again = () => append(0, event(entity));
    await until(({ status }) => status === 201, again);
  }
});

/** Asks until an answer is as it should be. */
async function until(
  isRight: (answer: TestAnswer) => boolean,
  ask: () => Promise<TestAnswer>,
): Promise<TestAnswer> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    const answer = await ask();
    if (isRight(answer)) return answer;
    assert.ok(performance.now() < deadline, JSON.stringify(answer));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
