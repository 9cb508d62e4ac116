import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { partitionOf } from '@memplane/event-log';
import { RocksStore } from '@memplane/rocks';
import { call, expectStatus, Plane, type ProblemBody, ScratchFolder } from '@memplane/testkit';
import { append, cleared, erase, Secrets, sealingEnv, verify } from './erasure-plane.ts';

const ENTITY = 'case/9';
const PARTITIONS = 12;

test('a hold blocks an erasure, and a verification finds what a store has all the same', async () => {
  using folder = new ScratchFolder('erasure-operator');
  using config = new ScratchFolder('erasure-operator-config');
  await using plane = await Plane.start({ dataDir: folder.path, env: sealingEnv(config.path) });
  await append(plane, new Secrets().events(ENTITY));
  const hold = `${plane.ingest}/v1/holds/${ENTITY}`;
  await expectStatus(200, 'PUT', hold, { body: { reason: 'case 17' } });
  const refused = await call('POST', `${plane.ingest}/v1/erasures`, { body: { entity: ENTITY } });
  const { code, reason } = refused.body as ProblemBody & { reason?: string };
  assert.deepEqual([refused.status, code, reason], [409, 'legal_hold', 'case 17']);
  await append(plane, [
    { id: 'still', type: 'Noted', entity: ENTITY, attributes: { still: 'here' } },
  ]);
  await expectStatus(204, 'DELETE', hold);
  const receipt = await erase(plane, ENTITY);
  await cleared(plane, receipt);
  assert.equal((await verify(plane, receipt)).isClear, true);
  // Five events and the erasure: the count goes on, with a new key.
  const body = {
    type: 'Noted',
    entity: ENTITY,
    attributes: { of: 'a new key' },
    expectedSequence: 6,
  };
  await expectStatus(201, 'POST', `${plane.ingest}/v1/events`, { body });
  await plane.stop();

  await plant(join(folder.path, 'views'));
  await using planted = await plane.again();
  const found = await verify(planted, receipt);
  assert.equal(found.isClear, false);
  const wrong = found.stores.filter(({ isClear }) => !isClear);
  assert.deepEqual(
    wrong.map(({ store, left }) => [store, left]),
    [['views', 1]],
  );
});

/** A memory of before the erasure, as a store would have it that was not cleared. */
async function plant(dir: string): Promise<void> {
  const rocks = await RocksStore.open(dir);
  const partition = partitionOf(ENTITY, PARTITIONS);
  const shard = String.fromCharCode(partition >>> 8, partition & 0xff);
  const key = Buffer.from(`default\0${shard}m${ENTITY}\0left`, 'latin1');
  // Format version, key id, offset 0, no end.
  const row = Buffer.concat([Buffer.from([1, 0]), Buffer.alloc(12), Buffer.from('{"id":"left"}')]);
  await rocks.write(rocks.batch().put(key, row));
  await rocks.close();
}
