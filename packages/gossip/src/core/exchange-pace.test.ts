import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { exchangeIntervalMs, wholeListsChance } from './exchange-pace.ts';

const pace = { pushPullIntervalMs: 30_000, wholeListsMembers: 32 };

test('up to 32 members each exchange is one of whole lists, at the interval that is set', () => {
  for (let members = 1; members <= 32; members++) {
    assert.equal(exchangeIntervalMs(pace, members), 30_000);
    assert.equal(wholeListsChance(pace, members), 1);
  }
});

test('above, whole lists cost no more than at 32, and somebody is asked in a few intervals', () => {
  fc.assert(
    fc.property(fc.integer({ min: 33, max: 65_536 }), (members) => {
      const intervalMs = exchangeIntervalMs(pace, members);
      const listsPerS = (wholeListsChance(pace, members) / intervalMs) * 1_000;
      assert.ok(listsPerS * members <= 32 / 30 + 1e-9);
      assert.ok(intervalMs <= 30_000 * (2 + Math.log2(members / 32)));
    }),
  );
  assert.equal(exchangeIntervalMs(pace, 1_000), 180_000);
  assert.equal(wholeListsChance(pace, 1_000), (6 * 32) / 1_000);
});
