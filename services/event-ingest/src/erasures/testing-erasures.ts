import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '@memplane/testkit';
import { newEntity, newSecret, type SealedPlane } from '../sealing/testing-sealed-plane.ts';
import type { TestAnswer } from '../strong/testing-strong-plane.ts';

const WAIT_MS = 60_000;
/** What stays of a key in etcd's write-ahead log is told in the receipt. */
const WAL = /^etcd\/data\/member\/wal\//;

/** Asks an instance for the receipt until it is done. */
function receiptOf(plane: SealedPlane, instance: number, id: unknown): Promise<TestAnswer> {
  return eventually('the erasure is done', WAIT_MS, async () => {
    const receipt = await plane.call('GET', `${plane.ingests[instance]}/v1/erasures/${id}`);
    assert.equal(receipt.status, 200, JSON.stringify(receipt));
    return receipt['isDone'] === true ? receipt : undefined;
  });
}

function storesOf(receipt: TestAnswer): string[] {
  const stores = receipt['stores'] as { store: string; isClear: boolean }[];
  assert.ok(stores.every(({ isClear }) => isClear));
  return stores.map(({ store }) => store).toSorted();
}

/** The key of an entity as etcd has it: wrapped. */
async function wrappedKeyOf(plane: SealedPlane, entity: string): Promise<string> {
  const all = { key: 'AA==', range_end: 'AA==' };
  const how = { method: 'POST', body: JSON.stringify(all) };
  const response = await fetch(`http://${plane.etcd}/v3/kv/range`, how);
  const { kvs } = (await response.json()) as { kvs: { key: string; value: string }[] };
  const name = `key.${entity.replace('/', ':')}`;
  const found = kvs.find(({ key }) => Buffer.from(key, 'base64').toString().endsWith(name));
  const value = Buffer.from(found?.value ?? '', 'base64').toString();
  const wrapped = / b ([A-Za-z0-9+/=]{60,})/.exec(value)?.[1];
  assert.ok(wrapped, `the key of ${entity}: ${value}`);
  return wrapped.slice(0, 60);
}

/**
 * Erasure by two instances of event-ingest that share keys and erasures in etcd: what was said, and the
 * key that it was sealed with, are looked for in every file. The last one ends the first instance.
 */
export function describeErasures(plane: SealedPlane): void {
  for (const [kind, by] of [
    ['patient', 0],
    ['case', 1],
  ] as const) {
    test(`an erased ${kind} is read nowhere and found in no file; its neighbour is untouched`, () => {
      return erases(plane, kind, by);
    });
  }
  test('what is not sealed is not erased, with words, and goes on', () => refusesPlain(plane));
  test('a hold that one instance is told of stops the other', () => obeysHolds(plane));
  test('kill -9 of the instance that erases: the other one finishes it', () => takesOver(plane));
}

async function erases(plane: SealedPlane, kind: string, by: 0 | 1): Promise<void> {
  const [entity, neighbour] = [newEntity(kind), newEntity(kind)];
  const [one, two, kept] = [newSecret(), newSecret(), newSecret()];
  // Both instances have its key.
  const first = await plane.say(0, entity, 'e0', one);
  await plane.isSaid(entity, two, await plane.say(1, entity, 'e1', two));
  const keptAt = await plane.say(1, neighbour, 'e0', kept);
  await plane.isSaid(neighbour, kept, keptAt);
  const key = await wrappedKeyOf(plane, entity);
  assert.ok(
    plane.filesWith(one).some((name) => name.startsWith('views/')),
    'the search looks there',
  );
  assert.ok(
    plane.filesWith(key).some((name) => name.startsWith('etcd/')),
    'and for the key there',
  );

  const erasures = `${plane.ingests[by]}/v1/erasures`;
  const started = await plane.call('POST', erasures, { entity, reason: 'asked for' });
  assert.equal(started.status, 202, JSON.stringify(started));
  await eventually('it is erased', 5_000, async () =>
    (await plane.viewOf(entity)).status === 410 ? true : undefined,
  );
  const past = await plane.viewOf(entity, `?asOf=token:${first['token']}`);
  assert.deepEqual([past.status, past['code']], [410, 'erased'], 'of the past too');

  // The other instance takes it anew, with another key.
  const again = newSecret();
  await plane.isSaid(entity, again, await plane.say(1 - by, entity, 'e2', again));
  const receipt = await receiptOf(plane, 1 - by, started['id']);
  const stores = ['archive', 'index', 'keys', 'log', 'snapshots', 'strong', 'vectors', 'views'];
  assert.deepEqual(storesOf(receipt), stores);
  const left = plane.filesWith(one, two, key).filter((name) => !WAL.test(name));
  assert.deepEqual(left, []);
  const url = `${plane.ingests[1 - by]}/v1/erasures/${started['id']}/verifications`;
  const verified = await plane.call('POST', url, {});
  assert.equal(verified['isClear'], true, JSON.stringify(verified));
  await plane.isSaid(neighbour, kept, keptAt);
  await plane.isSaid(entity, again, keptAt);
}

async function refusesPlain(plane: SealedPlane): Promise<void> {
  const entity = newEntity('user');
  const text = newSecret();
  await plane.say(0, entity, 'e', text);
  const refused = await plane.call('POST', `${plane.ingests[0]}/v1/erasures`, { entity });
  assert.deepEqual([refused.status, refused['code']], [501, 'not_implemented']);
  await plane.isSaid(entity, text, await plane.say(1, entity, 'e2', text));
}

async function obeysHolds(plane: SealedPlane): Promise<void> {
  const entity = newEntity('patient');
  await plane.say(0, entity, 'e', newSecret());
  const hold = `${plane.ingests[0]}/v1/holds/${entity}`;
  assert.equal((await plane.call('PUT', hold, { reason: 'case 17' })).status, 200);
  const refused = await plane.call('POST', `${plane.ingests[1]}/v1/erasures`, { entity });
  assert.deepEqual([refused.status, refused['code']], [409, 'legal_hold']);
  assert.equal((await plane.call('DELETE', hold)).status, 204);
}

async function takesOver(plane: SealedPlane): Promise<void> {
  const entity = newEntity('patient');
  const text = newSecret();
  await plane.say(0, entity, 'e', text);
  const asked = plane
    .call('POST', `${plane.ingests[0]}/v1/erasures`, { entity })
    .catch(() => undefined);
  const list = `${plane.ingests[1]}/v1/erasures`;
  const { id } = await eventually('it has begun', WAIT_MS, async () => {
    const { erasures } = await plane.call('GET', list);
    return (erasures as { id: string; entity: string }[]).find((one) => one.entity === entity);
  });
  await plane.servers.server('ingest-1').kill();
  await asked;
  await receiptOf(plane, 1, id);
  assert.equal((await plane.viewOf(entity)).status, 410);
  assert.deepEqual(plane.filesWith(text), []);
  const again = newSecret();
  await plane.isSaid(entity, again, await plane.say(1, entity, 'e', again));
}
