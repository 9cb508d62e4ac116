import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '@memplane/testkit';
import { newEntity, newSecret, type SealedPlane } from '../sealing/testing-sealed-plane.ts';
import type { TestAnswer } from '../strong/testing-strong-plane.ts';

const WAIT_MS = 60_000;
/** Making etcd log 72 MiB is some seconds, and minutes where others have the machine. */
const DONE_MS = 240_000;
/** What stays of a key in etcd's write-ahead log is told in the receipt. */
const WAL = /^etcd\/data\/member\/wal\//;
const DATABASE = /^etcd\/data\/member\/snap\/db/;
/** So is how long the log has what is plain. */
const LOG = /^kafka\/.*\/agent-events-\d+\//;
/** Where Kafka keeps published views. */
const VIEWS = /^kafka\/.*\/memory-views-\d+\//;

/** Asks an instance for the receipt until it is done. */
function receiptOf(plane: SealedPlane, instance: number, id: unknown): Promise<TestAnswer> {
  return eventually('the erasure is done', DONE_MS, async () => {
    const receipt = await plane.call('GET', `${plane.ingests[instance]}/v1/erasures/${id}`);
    assert.equal(receipt.status, 200, JSON.stringify(receipt));
    return receipt['isDone'] === true ? receipt : undefined;
  });
}

interface ReceiptStore {
  readonly store: string;
  readonly isClear: boolean;
  readonly left?: number;
  readonly until?: string;
}

/** etcd looks for files that it has no use for once in half a minute. */
const ETCD_PURGE_MS = 120_000;

/** Those that have copies of what is plain. */
const STORES = ['archive', 'index', 'log', 'snapshots', 'strong', 'topic', 'vectors', 'views'];

function storesOf(receipt: TestAnswer): string[] {
  const stores = receipt['stores'] as ReceiptStore[];
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
  const strong = new Secrets('ledger');
  test('an erased ledger, strong and plain, is read nowhere, and counts on', () => {
    return erasesStrong(plane, strong);
  });
  for (const [kind, by] of [
    ['patient', 0],
    ['case', 1],
  ] as const) {
    test(`an erased ${kind} is read nowhere and found in no file; its neighbour is untouched`, () => {
      return erases(plane, kind, by);
    });
  }
  test('an erased user is read nowhere, and found in the log alone, until a date', () => {
    return erasesPlain(plane);
  });
  test('a receipt is not believed: what a store has all the same is found', () => finds(plane));
  test('a hold that one instance is told of stops the other', () => obeysHolds(plane));
  test('kill -9 of the instance that erases: the other one finishes it', () => takesOver(plane));
  test('what etcd wrote ahead of the erased ledger is in none of its files any more', async () => {
    await eventually('its old files are gone', ETCD_PURGE_MS, async () => {
      const left = plane.filesWith(...strong.texts).filter((name) => name.startsWith('etcd/'));
      return left.length === 0 ? true : undefined;
    });
  });
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
  const strong = kind === 'case' ? ['heads', 'keys'] : ['keys'];
  assert.deepEqual(storesOf(receipt), [...strong, ...STORES].toSorted());
  const left = plane.filesWith(one, two, key).filter((name) => !WAL.test(name));
  assert.deepEqual(left, []);
  const url = `${plane.ingests[1 - by]}/v1/erasures/${started['id']}/verifications`;
  const verified = await plane.call('POST', url, {});
  assert.equal(verified['isClear'], true, JSON.stringify(verified));
  await plane.isSaid(neighbour, kept, keptAt);
  await plane.isSaid(entity, again, keptAt);
}

async function erasesPlain(plane: SealedPlane): Promise<void> {
  const [entity, neighbour] = [newEntity('user'), newEntity('user')];
  const [one, two, kept] = [newSecret(), newSecret(), newSecret()];
  const first = await plane.say(0, entity, 'e0', one);
  const second = await plane.say(1, entity, 'e1', two);
  await plane.isSaid(entity, two, second);
  const keptAt = await plane.say(1, neighbour, 'e0', kept);
  await eventually('its view is published', WAIT_MS, async () =>
    plane.filesWith(two).some((name) => VIEWS.test(name)) ? true : undefined,
  );
  const started = await eraseBy(plane, 0, entity);
  await eventually('it is erased', 5_000, async () =>
    (await plane.viewOf(entity)).status === 410 ? true : undefined,
  );
  const past = await plane.viewOf(entity, `?asOf=token:${first['token']}`);
  assert.deepEqual([past.status, past['code']], [410, 'erased'], 'of the past too');
  const all = { filter: {}, entityPrefix: entity, limit: 10, after: second['token'] };
  const { entities, erased } = await plane.call('POST', `${plane.views}/v1/query`, all);
  assert.deepEqual([entities, erased], [[], 1]);

  const receipt = await receiptOf(plane, 1, started['id']);
  assert.deepEqual(storesOf(receipt), STORES.toSorted());
  const log = (receipt['stores'] as ReceiptStore[]).find(({ store }) => store === 'log');
  assert.ok(Date.parse(log?.until ?? '') > Date.now(), 'the receipt names when the log loses it');
  const left = plane.filesWith(one, two);
  assert.ok(left.length > 0, 'the search looks there');
  assert.deepEqual(
    left.filter((name) => !LOG.test(name)),
    [],
  );
  assert.equal((await verify(plane, started))['isClear'], true);
  await plane.isSaid(neighbour, kept, keptAt);
  const again = newSecret();
  await plane.isSaid(entity, again, await plane.say(1, entity, 'e2', again));
}

/** An entity and what was said of it. */
class Secrets {
  readonly entity: string;
  readonly texts = [newSecret(), newSecret()] as const;

  constructor(kind: string) {
    this.entity = newEntity(kind);
  }
}

/** Both instances have seen its head, and what was said is in its intents. */
async function erasesStrong(plane: SealedPlane, { entity, texts }: Secrets): Promise<void> {
  const [one, two] = texts;
  await plane.say(0, entity, 'e0', one);
  await plane.isSaid(entity, two, await plane.say(1, entity, 'e1', two));
  const places = plane.filesWith(...texts);
  assert.ok(places.some((name) => WAL.test(name)));
  assert.ok(places.some((name) => DATABASE.test(name)));
  const started = await eraseBy(plane, 0, entity);
  await eventually('it is erased', 5_000, async () =>
    (await plane.viewOf(entity)).status === 410 ? true : undefined,
  );
  // The erasure is the third of its events; the instance that did not erase goes on from it.
  const again = newSecret();
  const later = { id: 'e2', type: 'Said', entity, attributes: { said: again } };
  // A moment may pass until it is told that the erasure is in the log.
  const appended = await eventually('it takes events again', 5_000, async () => {
    const body = { ...later, expectedSequence: 3 };
    const answer = await plane.call('POST', `${plane.ingests[1]}/v1/events`, body);
    return answer.status === 503 ? undefined : answer;
  });
  assert.equal(appended.status, 201, JSON.stringify(appended));
  await plane.isSaid(entity, again, appended);
  const receipt = await receiptOf(plane, 1, started['id']);
  assert.deepEqual(storesOf(receipt), ['heads', ...STORES].toSorted());
  const left = plane.filesWith(...texts).filter((name) => !LOG.test(name) && !WAL.test(name));
  assert.deepEqual(left, []);
  assert.equal((await verify(plane, started))['isClear'], true);
  const head = await plane.call(
    'GET',
    `${plane.views}/v1/entities/${entity}?consistency=linearizable`,
  );
  assert.equal(head['sequence'], 4, JSON.stringify(head));
}

/** A subscriber's message of before that arrives once more, as one that was given up may. */
async function finds(plane: SealedPlane): Promise<void> {
  const entity = newEntity('user');
  const text = newSecret();
  const said = await plane.say(0, entity, 'e0', text);
  await plane.isSaid(entity, text, said);
  const view = await eventually('its view is published', WAIT_MS, () => plane.publishedOf(entity));
  const started = await eraseBy(plane, 0, entity);
  await receiptOf(plane, 0, started['id']);
  assert.equal((await verify(plane, started))['isClear'], true);
  await plane.publish(entity, view);
  const found = await verify(plane, started);
  const wrong = (found['stores'] as ReceiptStore[]).filter(({ isClear }) => !isClear);
  assert.deepEqual(
    [found['isClear'], wrong.map(({ store, left }) => [store, left])],
    [false, [['topic', 1]]],
  );
}

async function eraseBy(plane: SealedPlane, by: number, entity: string): Promise<TestAnswer> {
  const started = await plane.call('POST', `${plane.ingests[by]}/v1/erasures`, { entity });
  assert.equal(started.status, 202, JSON.stringify(started));
  return started;
}

function verify(plane: SealedPlane, { id }: TestAnswer): Promise<TestAnswer> {
  return plane.call('POST', `${plane.ingests[1]}/v1/erasures/${id}/verifications`, {});
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
  const said = new Map(['patient', 'user'].map((kind) => [newEntity(kind), newSecret()]));
  for (const [entity, text] of said) await plane.say(0, entity, 'e', text);
  const asked = [...said.keys()].map((entity) =>
    plane.call('POST', `${plane.ingests[0]}/v1/erasures`, { entity }).catch(() => undefined),
  );
  const list = `${plane.ingests[1]}/v1/erasures`;
  const begun = await eventually('they have begun', WAIT_MS, async () => {
    const erasures = (await plane.call('GET', list))['erasures'] as {
      id: string;
      entity: string;
    }[];
    const own = erasures.filter(({ entity }) => said.has(entity));
    return own.length === said.size ? own : undefined;
  });
  await plane.servers.server('ingest-1').kill();
  await Promise.all(asked);
  for (const { id } of begun) await receiptOf(plane, 1, id);
  const left = plane.filesWith(...said.values()).filter((name) => !LOG.test(name));
  assert.deepEqual(left, []);
  for (const entity of said.keys()) {
    assert.equal((await plane.viewOf(entity)).status, 410);
    const again = newSecret();
    await plane.isSaid(entity, again, await plane.say(1, entity, 'again', again));
  }
}
