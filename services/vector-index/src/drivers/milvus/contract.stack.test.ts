import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { eventually, range, testSeed } from '@memplane/testkit';
import { RecallModel } from '../../testing/recall-model.ts';
import { LATER_MS, OpenStore, storeContract } from '../../testing/store-contract.ts';
import { MilvusLink } from './link.ts';
import type { MilvusVectors } from './milvus-vectors.ts';
import { TestMilvus } from './testing.ts';

const milvus = await TestMilvus.start();
after(() => milvus.stop());

/** Large enough segments for Milvus to quantise, and no answer but by it. */
const INDEX_ONLY = {
  fallback_rows_max: 0,
  flush_rows_max: 8_000,
  unsettled_rows_max: 8_000,
  flushIntervalMs: 5_000,
};

storeContract({
  name: 'Milvus',
  options: (indexOnly) => milvus.factory(indexOnly ? INDEX_ONLY : {}),
  async built(store) {
    const { collection, options } = store.generation.elsewhere as MilvusVectors;
    const link = await MilvusLink.open(options);
    const deadline = Date.now() + 90_000;
    for (;;) {
      const { rows, indexed } = await link.indexed(collection);
      if (rows > 0 && indexed === rows) break;
      assert.ok(Date.now() < deadline, `${indexed} of ${rows} rows are indexed`);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    await link.close();
  },
  recall_events: 6_000,
  recall_dimensions: 128,
});

test('a search begun ahead gives what came, and what was stored, while it was under way', async (t) => {
  const [dimensions, before, queries] = [32, 200, 8];
  const model = new RecallModel(testSeed('ahead'), {
    partitions: 3,
    dimensions,
    entities: 30,
    memories: 60,
    forgotten: 0.1,
    turns: 0.1,
    ttl: 0,
    tenants: ['default'],
  });
  // Short of candidates it would score all rows, and hide what it misses.
  const factory = milvus.factory({ fallback_rows_max: 0 });
  const store = new OpenStore(t, model, dimensions, factory);
  model.append(before);
  await store.catchUp();
  await store.settled();
  const begun = Array.from(range(queries), () => {
    const query = model.vector();
    return { query, ahead: store.ahead(query) };
  });
  for (const { ahead } of begun) assert.ok((await ahead?.found)?.length);
  model.append(100);
  await store.catchUp();
  let late = 0;
  for (const what of ['not stored yet', 'stored meanwhile']) {
    if (what === 'stored meanwhile') await store.settled();
    const live = model.live('default', model.ends, LATER_MS);
    for (const { query, ahead } of begun) {
      const found = await store.search(query, { ahead });
      const ids = model.nearest(live, query, 10).map(({ eventId }) => eventId);
      assert.deepEqual(
        found.map(({ eventId }) => eventId),
        ids,
        what,
      );
      late += ids.filter((id) => Number(id.slice(1)) >= before).length;
    }
  }
  assert.ok(late > 0, 'nothing of what came is among the nearest');
  // Rows read anew may have other numbers: what was begun before is of no use.
  await store.reopen();
  const [{ query, ahead } = assert.fail()] = begun;
  const live = model.live('default', model.ends, LATER_MS);
  const [nearest] = model.nearest(live, query, 1);
  const [first] = await eventually('Milvus is connected', 60_000, () =>
    store.search(query, { ahead }).catch(() => undefined),
  );
  assert.equal(first?.eventId, nearest?.eventId);
});
