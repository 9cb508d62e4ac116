import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  bytesLeft,
  call,
  type EntityView,
  entityPath,
  eventually,
  expectStatus,
  Plane,
  type ProblemBody,
  planeDigests,
  removeDerivedStores,
  ScratchFolder,
  type SearchAnswer,
  type SentEvent,
} from '@memplane/testkit';
import { append, cleared, erase, Secrets, sealingEnv, verify, WAIT_MS } from './erasure-plane.ts';

const NEIGHBOURS = 12;
const SEALED = 'patient/7';
const PLAIN = 'user/7';
/** Plain and strong: its intents stand in the strong store. */
const STRONG = 'ledger/7';
const ERASED: readonly string[] = [SEALED, PLAIN, STRONG];

test('what is erased is nowhere any more, and its neighbours are as they were', async () => {
  using folder = new ScratchFolder('erasure');
  using config = new ScratchFolder('erasure-config');
  const env = sealingEnv(config.path);
  const sealed = new Secrets();
  const plain = new Secrets();
  const strong = new Secrets();
  await using plane = await Plane.start({ dataDir: folder.path, env });
  const neighbours = await appendNeighbours(plane);
  const said = [...sealed.events(SEALED), ...plain.events(PLAIN), ...strong.events(STRONG)];
  const before = await append(plane, said);
  const past = await shown(plane, before);
  // The search is worth something: it finds what is plain, in the archive and in snapshots too.
  const places = await eventually('snapshots and archive have it', WAIT_MS, async () => {
    const found = bytesLeft(folder.path, plain.forms);
    const has = (what: string) => found.some((place) => place.startsWith(what));
    const isArchived = found.some((p) => p.includes('segments/') && p.includes('(zstd'));
    return has('archive') && isArchived && has('views') && has('vectors') ? found : undefined;
  });
  assert.ok(places.some((place) => place.startsWith('log/')));
  const intended = bytesLeft(folder.path, strong.forms);
  assert.ok(
    intended.some((place) => place.startsWith('strong/')),
    'an intent is there',
  );
  assert.deepEqual(
    bytesLeft(folder.path, sealed.forms).filter((p) => /^log\/|segments\/|^strong\//.test(p)),
    [],
    'what is sealed is never plain in log, archive or strong store',
  );

  const receipts = [
    await erase(plane, SEALED),
    await erase(plane, PLAIN),
    await erase(plane, STRONG),
  ];
  await gone(plane, before, past);
  for (const started of receipts) {
    const { entity } = started;
    const receipt = await cleared(plane, started);
    assert.equal(
      receipt.stores.every(({ isClear }) => isClear),
      true,
    );
    const verified = await verify(plane, started);
    assert.equal(verified.isClear, true, JSON.stringify(verified));
    const log = receipt.stores.find(({ store }) => store === 'log');
    assert.equal(log?.until !== undefined, entity !== SEALED, 'the log keeps what is plain');
    assert.equal(
      receipt.stores.some(({ store }) => store === 'heads'),
      entity === STRONG,
    );
  }
  const left = bytesLeft(folder.path, new Map([...sealed.forms]));
  assert.deepEqual(left, []);
  for (const { forms } of [plain, strong]) {
    const plainLeft = bytesLeft(folder.path, forms).filter((p) => !p.startsWith('log/'));
    assert.deepEqual(plainLeft, []);
  }
  await untouched(plane, neighbours);

  // A rebuild from archive and log equals what lives.
  const live = await planeDigests(plane);
  await plane.stop();
  assert.ok(removeDerivedStores(folder.path).length > 0);
  await using rebuilt = await plane.again();
  await eventually('the rebuilt views and index are equal', WAIT_MS, async () => {
    const again = await planeDigests(rebuilt);
    return JSON.stringify(again) === JSON.stringify(live) || undefined;
  });
  await gone(rebuilt, before, past);
  await untouched(rebuilt, neighbours);

  // Later events are of a new key, ids of before are new again, and the count goes on.
  const [again] = sealed.events(SEALED);
  await begun(rebuilt, again, before);
  await begun(rebuilt, { id: 'new', type: 'Noted', entity: STRONG, expectedSequence: 5 }, before);
});

/** An event is the first after the erasure of its entity. */
async function begun(plane: Plane, event: SentEvent, before: string): Promise<void> {
  const { entity } = event;
  const after = await append(plane, [{ ...event, attributes: { is: 'new' } }]);
  const url = plane.materializer + entityPath(entity, { after, waitMs: '20000' });
  const view = await expectStatus<EntityView>(200, 'GET', url);
  assert.deepEqual([view.attributes, view.sequence], [{ is: 'new' }, 6]);
  const past = await call('GET', plane.materializer + entityPath(entity, { asOf: before }));
  assert.equal((past.body as ProblemBody).code, 'erased');
}

async function appendNeighbours(plane: Plane): Promise<string> {
  const events = Array.from({ length: NEIGHBOURS }, (_, n) => [
    ...new Secrets().events(`patient/n${n}`),
    ...new Secrets().events(`user/n${n}`),
  ]);
  const token = await append(plane, events.flat());
  const views = await Promise.all(NEIGHBOUR_NAMES.map((entity) => viewOf(plane, entity, token)));
  return JSON.stringify(views);
}

const NEIGHBOUR_NAMES = Array.from({ length: NEIGHBOURS }, (_, n) => [
  `patient/n${n}`,
  `user/n${n}`,
]).flat();

async function untouched(plane: Plane, before: string): Promise<void> {
  const views = await Promise.all(NEIGHBOUR_NAMES.map((entity) => viewOf(plane, entity)));
  assert.equal(JSON.stringify(views), before);
  const answer = await search(plane, {});
  assert.equal(new Set(answer.results.map(({ entity }) => entity)).size, 2 * NEIGHBOURS);
}

async function viewOf(plane: Plane, entity: string, after?: string): Promise<unknown> {
  const query = after === undefined ? {} : { after, waitMs: '20000' };
  const url = plane.materializer + entityPath(entity, query);
  const { attributes, memories, sequence } = await expectStatus<EntityView>(200, 'GET', url);
  return { attributes, memories, sequence };
}

function search(plane: Plane, more: Record<string, unknown>): Promise<SearchAnswer> {
  const body = { text: 'violin', topK: 100, ...more };
  return expectStatus(200, 'POST', `${plane.vectors}/v1/search`, { body });
}

/**
 * They can be read, found and recalled.
 * @returns paths of states of the past, each of which was read often enough to be in memory
 */
async function shown(plane: Plane, after: string): Promise<string[]> {
  const answer = await search(plane, { after, waitMs: 20_000 });
  const entities = new Set(answer.results.map(({ entity }) => entity));
  assert.ok(ERASED.every((entity) => entities.has(entity)));
  const query = { filter: { kind: 'b' }, limit: 100 };
  const found = await expectStatus<{ entities: { entity: string }[] }>(
    200,
    'POST',
    `${plane.materializer}/v1/query`,
    { body: query },
  );
  assert.equal(found.entities.length, 2 * NEIGHBOURS + ERASED.length);
  const past: string[] = [];
  for (const entity of ERASED) {
    const read = (asOf: string) =>
      expectStatus<EntityView>(200, 'GET', plane.materializer + entityPath(entity, { asOf }));
    const { asOf } = await read(`event:${entity}-1`);
    for (let n = 0; n < 3; n++) await read(`offset:${asOf.offset}`);
    past.push(entityPath(entity, { asOf: `offset:${asOf.offset}` }));
  }
  return past;
}

/** No read tells of any of them, at no time; those that are of the entity itself say why. */
async function gone(plane: Plane, before: string, past: readonly string[]): Promise<void> {
  const { materializer } = plane;
  for (const path of past) {
    assert.equal((await call('GET', materializer + path)).status, 410, path);
  }
  for (const entity of ERASED) {
    const id = encodeURIComponent(`${entity}-1`);
    const paths = [
      entityPath(entity),
      entityPath(entity, { asOf: before }),
      entityPath(entity, { asOf: `event:${entity}-1` }),
      `${entityPath(entity)}/history`,
      `/v1/events?entity=${entity}&id=${id}`,
    ];
    for (const path of paths) {
      const { status, body } = await call('GET', materializer + path);
      assert.deepEqual([status, (body as ProblemBody).code, path], [410, 'erased', path]);
    }
  }
  for (const more of [{}, { asOf: before }]) {
    const body = { filter: { kind: 'b' }, limit: 100, ...more };
    const found = await expectStatus<{ entities: { entity: string }[]; erased?: number }>(
      200,
      'POST',
      `${materializer}/v1/query`,
      { body },
    );
    assert.equal(found.erased, ERASED.length);
    assert.ok(found.entities.every(({ entity }) => !ERASED.includes(entity)));
    const answer = await search(plane, more);
    assert.ok(answer.results.every(({ entity }) => !ERASED.includes(entity)));
  }
}
