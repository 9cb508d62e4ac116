import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isNewerView, type ViewPosition } from './newer-view.ts';

const at = (epoch: number, offset: number, logId = 'log'): ViewPosition => ({
  logId,
  epoch,
  partition: 0,
  offset,
});

test('a view is newer by (epoch, offset); itself, told again, is not', () => {
  assert.equal(isNewerView(at(0, 5), undefined), true);
  assert.equal(isNewerView(at(0, 6), at(0, 5)), true);
  assert.equal(isNewerView(at(0, 5), at(0, 5)), false);
  assert.equal(isNewerView(at(0, 4), at(0, 5)), false);
  assert.equal(isNewerView(at(1, 2), at(0, 5)), true);
  assert.equal(isNewerView(at(0, 9), at(1, 2)), false);
  assert.throws(() => isNewerView(at(0, 9, 'another'), at(0, 1)), RangeError);
});

test('however messages are repeated and reordered, a subscriber ends with the newest', () => {
  const positions = fc.array(fc.record({ epoch: fc.nat(2), offset: fc.nat(50) }), { minLength: 1 });
  fc.assert(
    fc.property(positions, (messages) => {
      let known: ViewPosition | undefined;
      for (const { epoch, offset } of messages) {
        const view = at(epoch, offset);
        if (isNewerView(view, known)) known = view;
      }
      const newest = messages.toSorted((a, b) => a.epoch - b.epoch || a.offset - b.offset).at(-1);
      assert.deepEqual([known?.epoch, known?.offset], [newest?.epoch, newest?.offset]);
    }),
  );
});
