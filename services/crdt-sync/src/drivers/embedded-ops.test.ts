import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { it } from 'node:test';
import { UNPLACED } from '@memplane/crdt';
import { RocksStore } from '@memplane/rocks';
import { EmbeddedStore } from './embedded-store.ts';
import * as keys from './keys.ts';
import * as records from './records.ts';

const ref = { tenant: 'default', name: 'c' };

it('operation ids that were stored without their place are kept, and put in order', async () => {
  const dir = await mkdtemp(path.join(tmpdir(), 'memplane-op-ids-'));
  const rocks = await RocksStore.open(dir);
  const batch = rocks.batch();
  const ring = keys.formerOpRingRange(ref).gte;
  for (const [n, opId] of ['y', 'x'].entries()) {
    batch.put(keys.opKey(ref, opId), records.pairRecord(n + 1, BigInt(10 - n)));
    batch.put(Buffer.concat([ring, Buffer.alloc(8, n)]), records.sealed(Buffer.from(opId)));
  }
  batch.put(keys.formerOpCountKey(ref), records.pairRecord(2, 0n));
  await rocks.write(batch, { sync: true });
  await rocks.close();
  const store = await EmbeddedStore.open({ dir });
  try {
    assert.deepEqual(await store.opCounts([ref, { ...ref, name: 'other' }]), [2, 0]);
    const claims = { y: { by: 1, hlc: 10n, ...UNPLACED }, x: { by: 2, hlc: 9n, ...UNPLACED } };
    assert.deepEqual(await store.oldestOps(ref, 9), [
      { opId: 'x', claim: claims.x },
      { opId: 'y', claim: claims.y },
    ]);
    const state = await store.state(ref);
    assert.deepEqual(state.counter?.claims, new Map(Object.entries({ x: claims.x, y: claims.y })));
  } finally {
    await store.close();
  }
  const after = await RocksStore.open(dir);
  const { gte, lt } = keys.formerOpRingRange(ref);
  assert.deepEqual(await after.scanAll({ gte, lt, limit: 9 }), []);
  assert.deepEqual(await after.getMany([keys.formerOpCountKey(ref)]), [null]);
  await after.close();
  await rm(dir, { recursive: true });
});
