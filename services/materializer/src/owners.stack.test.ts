import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { call } from '@memplane/testkit';
import { naiveFold } from './naive-fold.ts';
import { type Instance, Plane, patiently, until } from './testing-instances.ts';

const PARTITIONS = 6;
const ENTITIES = Array.from({ length: 30 }, (_, i) => `user/${i}`);

let plane: Plane;
let a: Instance;
let b: Instance;

before(async () => {
  plane = await Plane.start(PARTITIONS);
  a = await plane.add('a');
  b = await plane.add('b');
});
after(() => plane?.stop());

async function shardsOf(instance: Instance): Promise<Map<number, string>> {
  const { body } = await instance.get('/v1/shards');
  return new Map(
    body.shards.map((shard: { partition: number; owner: string }) => [
      shard.partition,
      shard.owner,
    ]),
  );
}

describe('two instances share the partitions', () => {
  test('each answers for any entity, now and in the past, whoever owns it', async () => {
    await until('each owns a half', async () => {
      const owners = [...(await shardsOf(a)).values()];
      return owners.length === PARTITIONS && owners.filter((owner) => owner === 'a').length === 3;
    });
    for (let n = 0; n < 300; n++) {
      const entity = ENTITIES[n % ENTITIES.length] as string;
      const memory = { id: `m${n % 4}`, text: `text ${n}` };
      const token = await plane.append(`e${n}`, entity, {
        attributes: { n, even: n % 2 === 0 },
        memory,
      });
      const reader = n % 2 === 0 ? a : b;
      const { status, body } = await reader.get(`/v1/entities/${entity}?after=${token}`);
      assert.deepEqual([status, body.attributes?.n], [200, n], JSON.stringify(body));
    }
    const fold = naiveFold(plane.records.flat());
    for (const reader of [a, b]) {
      for (const entity of ENTITIES) {
        const { status, body } = await reader.get(`/v1/entities/${entity}`);
        const expected = fold.entities.get(entity);
        assert.equal(status, 200);
        assert.deepEqual(
          [body.attributes, body.sequence, body.memories.length],
          [expected?.attributes, expected?.sequence, expected?.memories.size],
        );
        const past = await reader.get(
          `/v1/entities/${entity}?asOf=event:e${Number(entity.slice(5))}`,
        );
        assert.equal(past.body.attributes.n, Number(entity.slice(5)));
        const history = await reader.get(`/v1/entities/${entity}/history?limit=4`);
        assert.equal(history.body.events.length, 4);
      }
    }
  });

  test('what is about all partitions is gathered, and is of one cut', async () => {
    const after = plane.token();
    for (const reader of [a, b]) {
      const found: string[] = [];
      let cursor: string | undefined;
      do {
        const { status, body } = await reader.post('/v1/query', {
          filter: { n: { $gte: 285 } },
          limit: 4,
          ...(cursor === undefined ? { after } : { cursor }),
        });
        assert.equal(status, 200, JSON.stringify(body));
        found.push(...body.entities.map((one: { entity: string }) => one.entity));
        ({ cursor } = body);
      } while (cursor !== undefined);
      assert.deepEqual(found.sort(), ENTITIES.slice(15).sort());
      const event = await reader.get('/v1/events?id=e17');
      assert.equal(event.body.event.subject, 'user/17');
      const trace = await reader.get('/v1/trace?id=e17');
      assert.equal(trace.body.root, 'user/17#e17');
      const cut = await reader.post('/v1/cuts', { asOf: 'time:2030-01-01T00:00:00Z', waitMs: 0 });
      assert.equal(cut.body.code, 'not_yet_visible');
      const replay = await reader.post('/v1/replays', {});
      const same = await (reader === a ? b : a).get(`/v1/replays/${replay.body.id}`);
      assert.deepEqual(same.body, replay.body);
      const none = await reader.get('/v1/replays/00000000-0000-0000-0000-000000000000');
      assert.equal(none.status, 404);
      assert.deepEqual(
        [replay.body.status, replay.body.result.entitiesTotal, replay.body.difference.different],
        ['done', ENTITIES.length, 0],
        JSON.stringify(replay.body),
      );
    }
    const [one, other] = await Promise.all([a.get('/v1/digest'), b.get('/v1/digest')]);
    assert.equal(one.body.shards.length, PARTITIONS);
    assert.deepEqual(one.body, other.body);
  });

  test('feeds come from the owner, through any instance', async () => {
    for (const topic of ['agent-events', 'memory-views']) {
      for (let partition = 0; partition < PARTITIONS; partition++) {
        const path = `/v1/feeds/${topic}?partition=${partition}`;
        const [one, other] = await Promise.all([a.get(path), b.get(path)]);
        assert.equal(one.status, 200);
        assert.equal(one.text, other.text);
        assert.ok(one.text.length > 0);
      }
    }
  });

  test('peers prove themselves, and nobody else is served on their port', async () => {
    const owners = (await a.get('/v1/shards')).body;
    assert.equal(owners.shards.length, PARTITIONS);
    const { status } = await call('POST', `${a.peerUrl}/v1/parts/entity`, { body: {} });
    assert.equal(status, 401);
    const { status: missing } = await a.post('/v1/parts/entity', {});
    assert.equal(missing, 404);
  });

  test('an instance that ends cleanly hands over, and comes back', async () => {
    await b.end('SIGTERM');
    for (const entity of ENTITIES) {
      const { status, body } = await patiently(() => a.get(`/v1/entities/${entity}`));
      assert.equal(status, 200, JSON.stringify(body));
    }
    assert.deepEqual(new Set((await shardsOf(a)).values()), new Set(['a']));
    await b.start();
    await until('b owns a half again', async () => {
      const owners = [...(await shardsOf(b)).values()];
      return owners.length === PARTITIONS && owners.filter((owner) => owner === 'b').length === 3;
    });
  });
});
