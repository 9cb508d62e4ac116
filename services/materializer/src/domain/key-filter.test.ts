import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KeyFilter } from './key-filter.ts';

test('a key that was added is never denied, whatever came in between', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' })), (keys) => {
      const filter = new KeyFilter(64 * 1024, true);
      const seen = new Set<string>();
      for (const key of keys) {
        const perhaps = filter.add(key);
        if (seen.has(key)) assert.equal(perhaps, true);
        seen.add(key);
      }
      for (const key of keys) assert.equal(filter.add(key), true);
    }),
  );
});

test('at 12 bits a key fewer than 2 of 100 new keys are taken for known ones', () => {
  const keys = 40_000;
  const filter = new KeyFilter((keys * 12) / 8, true);
  let wrong = 0;
  for (let n = 0; n < keys; n++)
    if (filter.add(`default\x00\x00\x01i\x20${n}user/${n % 7}`)) wrong++;
  assert.ok(wrong < keys / 50, `${wrong} of ${keys}`);
});

test('a filter that does not know all keys denies none, and one beyond its size gives up', () => {
  const learning = new KeyFilter(1024, false);
  assert.equal(learning.add('a'), true);
  assert.equal(learning.add('b'), true);
  learning.learned();
  assert.equal(learning.add('a'), true);
  assert.equal(learning.add('c'), false);
  const full = new KeyFilter(64, true);
  for (let n = 0; n < 1_000; n++) full.add(String(n));
  assert.equal(full.isComplete, false);
  assert.equal(full.isUseful, false);
  assert.equal(full.add('never seen'), true);
  assert.equal(new KeyFilter(0, true).add('a'), true);
});
