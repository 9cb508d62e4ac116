import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { testSeed } from '@memplane/testkit';
import { Generations } from '../../generations.ts';
import { MODEL, RecallModel, START_MS } from '../../testing/recall-model.ts';
import { LOG_ID, OpenStore, storeOptions } from '../../testing/store-contract.ts';
import { MilvusLink } from './link.ts';
import { type MilvusOptions, MilvusVectors } from './milvus-vectors.ts';
import { TestMilvus } from './testing.ts';

const DIMENSIONS = 32;
const LATER_MS = START_MS + 10_000_000;
const milvus = await TestMilvus.start();
after(() => milvus.stop());

function modelOf(name: string): RecallModel {
  return new RecallModel(testSeed(name), {
    partitions: 3,
    dimensions: DIMENSIONS,
    entities: 30,
    memories: 60,
    forgotten: 0.1,
    turns: 0.1,
    ttl: 0,
    tenants: ['default'],
  });
}

function storeOf(t: TestContext, model: RecallModel, options: MilvusOptions): OpenStore {
  return new OpenStore(t, model, DIMENSIONS, (shape) => new MilvusVectors(shape, options));
}

const collectionOf = (store: OpenStore) => (store.generation.elsewhere as MilvusVectors).collection;

async function linked<T>(options: MilvusOptions, work: (link: MilvusLink) => Promise<T>) {
  const link = await MilvusLink.open(options);
  try {
    return await work(link);
  } finally {
    await link.close();
  }
}

async function until(isTrue: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await isTrue())) {
    assert.ok(Date.now() < deadline, `never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Milvus holds what the log says, once each, and is found to by searches. */
async function assertWhole(store: OpenStore, options: MilvusOptions): Promise<void> {
  const { vectors } = store.generation.status('default');
  const collection = collectionOf(store);
  assert.equal(await linked(options, (link) => link.countRows(collection)), vectors);
  const { model } = store;
  const live = model.live('default', model.ends, LATER_MS);
  for (let i = 0; i < 5; i++) {
    const query = model.vector();
    const found = await store.search(query);
    const expected = model.nearest(live, query, 10);
    const hits = found.filter((row) => expected.some(({ eventId }) => eventId === row.eventId));
    assert.ok(hits.length >= 9, `${hits.length} of 10`);
  }
}

test('kill -9 of Milvus: nothing is lost, and searches go on', async (t) => {
  const options = milvus.options({ write_rows_max: 50, flush_rows_max: 100, flushIntervalMs: 200 });
  const store = storeOf(t, modelOf('kill'), options);
  const { model } = store;
  for (let round = 0; round < 2; round++) {
    model.append(200);
    await store.catchUp(16);
    // Somewhere between the first row and the last flush.
    await until(() => (store.generation.elsewhere?.unsettled ?? 0) < 180, 'some are stored');
    await milvus.server.kill();
    model.append(100);
    await store.catchUp(16);
    const query = model.vector();
    const live = model.live('default', model.ends, LATER_MS);
    const found = await store.search(query);
    assert.deepEqual(
      found.map(({ eventId }) => eventId),
      model.nearest(live, query, 10).map(({ eventId }) => eventId),
      'read-your-writes without Milvus',
    );
    await milvus.server.start();
  }
  await store.settled();
  await assertWhole(store, options);
});

test('one instance stores a partition, the other knows; where it is gone, the other does', async (t) => {
  const options = milvus.options({ takeoverMs: 600_000 });
  const model = modelOf('two instances');
  const one = storeOf(t, model, options);
  const two = storeOf(t, model, { ...options, instance: 'two' });
  model.append(300);
  await Promise.all([one.catchUp(), two.catchUp(7)]);
  for (const partition of model.log.keys()) one.generation.elsewhere?.claim(partition);
  await Promise.all([one.settled(), two.settled()]);
  const collection = collectionOf(one);
  assert.equal(collectionOf(two), collection);
  const writers = await linked(options, (link) => link.positions(collection));
  assert.deepEqual(new Set([...writers.values()].map(({ writer }) => writer)), new Set(['one']));
  await one.generation.close();
  model.append(100);
  await two.catchUp();
  for (const partition of model.log.keys()) two.generation.elsewhere?.claim(partition);
  await two.settled();
  await assertWhole(two, options);
  // Reordered and repeated: the first comes back, behind, and writes again what it lacks.
  one.generation = storeOf(t, model, { ...options, takeoverMs: 0 }).generation;
  await one.catchUp(3);
  await one.settled();
  await assertWhole(one, options);
});

test('rows gather; how far a partition is stored is written after the flush, never before', async (t) => {
  const write_rows_max = 30;
  const options = milvus.options({ write_rows_max, flushIntervalMs: 600_000 });
  const store = storeOf(t, modelOf('flush'), options);
  store.model.append(100);
  await store.catchUp();
  const { vectors } = store.generation.status('default');
  const whole = vectors - (vectors % write_rows_max);
  assert.ok(whole > 0 && whole < vectors);
  await linked(options, async (link) => {
    const collection = collectionOf(store);
    const count = () => link.countRows(collection).catch(() => 0);
    await until(async () => (await count()) === whole, 'whole calls are written');
    assert.equal((await link.positions(collection)).size, 0);
    assert.equal(await count(), whole, 'the rest gathers');
  });
  assert.equal(store.generation.elsewhere?.unsettled, vectors);
});

test('Milvus hangs: what memory has room for is scored before a search of it fails', async (t) => {
  const options = milvus.options({ hedgeDelayMs: 50 });
  const store = storeOf(t, modelOf('hangs'), options);
  const { model } = store;
  model.append(300);
  await store.catchUp();
  await store.settled();
  const query = model.vector();
  const live = model.live('default', model.ends, LATER_MS);
  const expected = model.nearest(live, query, 10).map(({ eventId }) => eventId);
  assert.ok(live.length > options.direct_rows_max, 'Milvus is asked');
  milvus.server.pause();
  try {
    const begun = performance.now();
    const found = await store.search(query);
    assert.deepEqual(
      found.map(({ eventId }) => eventId),
      expected,
    );
    const tookMs = performance.now() - begun;
    assert.ok(tookMs < options.searchTimeoutMs / 2, `${tookMs} ms`);
  } finally {
    milvus.server.resume();
  }
});

test('a collection that was dropped is stored again', async (t) => {
  const options = milvus.options();
  const store = storeOf(t, modelOf('dropped'), options);
  store.model.append(200);
  await store.catchUp();
  await store.settled();
  await linked(options, (link) => link.drop(collectionOf(store)));
  store.model.append(50);
  await store.catchUp();
  const { vectors } = store.generation.status('default');
  await until(async () => {
    const count = await linked(options, (link) => link.countRows(collectionOf(store))).catch(
      () => 0,
    );
    return count === vectors;
  }, 'all are stored again');
  await store.settled();
  await assertWhole(store, options);
});

test('a new model fills a collection of its own, which takes the common name', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'blue-green-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const options = milvus.options();
  const model = modelOf('blue-green');
  model.append(200);
  const shape = (name: string) =>
    storeOptions(DIMENSIONS, (of) => new MilvusVectors(of, options), name);
  const fill = (generations: Generations) => {
    for (const { index } of generations.all) {
      index.follow({ logId: LOG_ID, epoch: 0, partitions: 3 });
      for (const [partition, lines] of model.log.entries()) index.apply(partition, lines);
    }
  };
  const collection = (generations: Generations) =>
    (generations.live.elsewhere as MilvusVectors).collection;
  const aliased = () => linked(options, (link) => link.aliased());
  const blue = new Generations(folder, shape(MODEL), 50);
  t.after(() => blue.close().catch(() => {}));
  fill(blue);
  const first = collection(blue);
  await until(async () => (await aliased()) === first, 'the first has the common name');
  await until(() => blue.live.elsewhere?.unsettled === 0, 'the first is stored');
  await blue.close();

  const green = new Generations(folder, shape('another'), 50);
  t.after(() => green.close().catch(() => {}));
  fill(green);
  assert.equal(collection(green), first);
  await until(() => green.switchIfReady(), 'the second takes over');
  const second = collection(green);
  assert.notEqual(second, first);
  await until(async () => (await aliased()) === second, 'the second has the common name');
  await until(
    () =>
      linked(options, (link) =>
        link.countRows(first).then(
          () => false,
          () => true,
        ),
      ),
    'the first is dropped',
  );
  await green.close();
});
