import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Memplane, MemplaneError } from '@memplane/client';
import { Plane, ScratchFolder } from '@memplane/testkit';

const TOKEN = 'a-token-of-the-test';

/** A client of a plane whose services are on any ports. */
function clientOf(plane: Plane): Memplane {
  const urls = {
    'event-ingest': plane.ingest,
    materializer: plane.materializer,
    'crdt-sync': plane.crdt,
    'vector-index': plane.vectors,
  };
  return new Memplane({ urls, token: TOKEN, source: 'client-test' });
}

test('the verbs of memory libraries, against a plane with a token', async () => {
  using folder = new ScratchFolder('client');
  await using plane = await Plane.start({
    dataDir: folder.path,
    env: { MEMPLANE_TOKEN: TOKEN },
  });
  const client = clientOf(plane);
  const scope = { userId: 'auth0|5f7', sessionId: 's1' };

  const tea = await client.add('Prefers green tea in the morning', scope);
  assert.match(tea.id, /^user\/auth0~7c5f7#/);
  assert.deepEqual(tea.metadata, scope);
  const turns = await client.add(
    [
      { role: 'user', content: 'I moved to Lisbon' },
      { role: 'assistant', content: 'Noted: Lisbon' },
    ],
    { userId: 'auth0|5f7', memoryId: 'city' },
  );
  assert.deepEqual(
    turns.map(({ id }) => id),
    ['user/auth0~7c5f7#city', 'user/auth0~7c5f7#city.1'],
  );

  assert.equal((await client.get(tea.id))?.text, 'Prefers green tea in the morning');
  assert.equal(await client.get('user/auth0~7c5f7#nothing'), null);
  const [found] = await client.search('green tea', { userId: 'auth0|5f7' });
  assert.equal(found?.id, tea.id);
  assert.deepEqual(await client.search('green tea', { userId: 'somebody-else' }), []);
  assert.equal((await client.getAll({ userId: 'auth0|5f7' })).length, 3);

  const before = client.token;
  const updated = await client.update(tea.id, { text: 'Prefers coffee', metadata: { sure: true } });
  assert.deepEqual(updated.metadata, { ...scope, sure: true });
  assert.equal((await client.get(tea.id))?.text, 'Prefers coffee');
  assert.equal(
    (await client.get(tea.id, { asOf: `token:${before}` }))?.text,
    'Prefers green tea in the morning',
  );

  await client.delete(tea.id);
  assert.equal(await client.get(tea.id), null);
  assert.deepEqual(
    (await client.history(tea.id)).map(({ change, source }) => [change, source]),
    [
      ['added', 'client-test'],
      ['updated', 'client-test'],
      ['deleted', 'client-test'],
    ],
  );
  assert.deepEqual(await client.deleteAll({ userId: 'auth0|5f7' }), { deleted: 2 });
  assert.deepEqual(await client.getAll({ userId: 'auth0|5f7' }), []);
});

test('events, queries, feeds and replicated values', async () => {
  using folder = new ScratchFolder('client');
  await using plane = await Plane.start({ dataDir: folder.path, env: { MEMPLANE_TOKEN: TOKEN } });
  const client = clientOf(plane);
  const order = { id: 'order-17', type: 'OrderPlaced', entity: 'order/17' };
  const first = await client.append({ ...order, attributes: { city: 'Lisbon', total: 30 } });
  const again = await client.append({ ...order, attributes: { city: 'Lisbon', total: 30 } });
  assert.equal(again.duplicate, true);
  assert.equal(again.offset, first.offset);
  await assert.rejects(
    client.append({ ...order, attributes: { city: 'Porto' } }),
    (error) => error instanceof MemplaneError && error.code === 'id_reused',
  );
  const { entities } = await client.query({ filter: { total: { $gte: 30 } } });
  assert.deepEqual(
    entities.map(({ entity, attributes }) => ({ entity, attributes })),
    [{ entity: 'order/17', attributes: { city: 'Lisbon', total: 30 } }],
  );
  await client.append({ type: 'Shipped', entity: 'order/17', causationId: 'order-17' });
  const trace = await client.trace('order-17', { entity: 'order/17' });
  assert.equal((trace['nodes'] as unknown as unknown[]).length, 2);
  const { partition } = first;
  const seen: string[] = [];
  for await (const record of client.feed('agent-events', { partition, from: 0, follow: false })) {
    seen.push((record as unknown as { event: { type: string } }).event.type);
  }
  assert.deepEqual(seen, ['OrderPlaced', 'Shipped']);

  assert.equal(await client.counter('tasks').increment(2), 2);
  assert.equal(await client.counter('tasks').get(), 2);
  await client.set('tags').add('blue');
  assert.deepEqual(await client.set('tags').elements(), ['blue']);
  await client.register('leader').set({ name: 'a' });
  assert.deepEqual(await client.register('leader').get(), { name: 'a' });

  const stranger = new Memplane({ url: plane.ingest, token: 'wrong', retries_max: 0 });
  await assert.rejects(
    stranger.append({ type: 'T', entity: 'user/1' }),
    (error) => error instanceof MemplaneError && error.code === 'unauthorized',
  );
});
