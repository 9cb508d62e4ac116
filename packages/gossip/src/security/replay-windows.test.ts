import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ReplayWindows } from './replay-windows.ts';

const WINDOW = 64;

test('it judges as one that remembers everything', () => {
  const sequences = fc.array(
    fc.oneof(fc.nat({ max: 300 }), fc.constantFrom(1, 31, 32, 33, 63, 64, 95, 96, 127, 128)),
    { maxLength: 200 },
  );
  fc.assert(
    fc.property(sequences, (received) => {
      const windows = new ReplayWindows(WINDOW, 4);
      const seen = new Set<number>();
      let highest = 0;
      for (const sequence of received) {
        const tooOld = sequence <= highest - WINDOW;
        const expected = tooOld ? 'too_old' : seen.has(sequence) ? 'replayed' : 'fresh';
        assert.equal(windows.check('a', 1, sequence), expected);
        seen.add(sequence);
        highest = Math.max(highest, sequence);
      }
    }),
    { numRuns: 300 },
  );
});

test('a later start of the sender is heard anew, an earlier one no more', () => {
  const windows = new ReplayWindows(WINDOW, 4);
  assert.equal(windows.check('a', 5, 9), 'fresh');
  assert.equal(windows.check('a', 6, 9), 'fresh');
  assert.equal(windows.check('a', 5, 10), 'replayed');
  assert.equal(windows.check('a', 6, Number.MAX_SAFE_INTEGER), 'fresh');
  assert.equal(windows.check('a', 6, Number.MAX_SAFE_INTEGER), 'replayed');
  assert.equal(windows.check('a', 6, Number.MAX_SAFE_INTEGER - WINDOW), 'too_old');
});

test('of too many senders the longest silent is given up', () => {
  const windows = new ReplayWindows(WINDOW, 2);
  for (const sender of ['a', 'b', 'a', 'c']) windows.check(sender, 1, 1);
  assert.equal(windows.senders, 2);
  assert.equal(windows.check('a', 1, 1), 'replayed');
  assert.equal(windows.check('b', 1, 1), 'fresh');
  windows.forget('b');
  assert.equal(windows.senders, 1);
});
