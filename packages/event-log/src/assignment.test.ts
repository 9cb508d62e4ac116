import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SoleOwner } from './assignment.ts';

test('a plane in one process owns all partitions from start to end', async () => {
  const owner = new SoleOwner(3, 7);
  const heard: string[] = [];
  assert.deepEqual(owner.owned(), []);
  assert.equal(owner.epochOf(0), undefined);
  await owner.start({
    onAssigned: (owned) => void heard.push(`assigned ${owned.map((one) => one.partition)}`),
    onRevoked: async (owned) => void heard.push(`revoked ${owned.length}`),
    onLost: () => assert.fail('nobody takes them'),
  });
  assert.deepEqual(owner.owned()[2], { partition: 2, epoch: 7 });
  assert.equal(owner.epochOf(2), 7);
  assert.equal(owner.epochOf(3), undefined);
  assert.deepEqual(await owner.owners(), [{ instance: 'sole', partitions: [0, 1, 2] }]);
  await owner.close();
  assert.equal(owner.epochOf(2), undefined);
  assert.deepEqual(heard, ['assigned 0,1,2', 'revoked 3']);
});
