import assert from 'node:assert/strict';
import { after } from 'node:test';
import { storeContract } from '../../testing/store-contract.ts';
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
