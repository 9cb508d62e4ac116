import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { entriesOf, entryOf, INDEX_BOUNDS, OVERFLOW_ENTRY } from './index-entries.ts';
import { rangesOf, splitEntry } from './query-plan.ts';

const value = fc.oneof(
  fc.double({ noNaN: true }),
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.boolean(),
);

test('entries of numbers sort as numbers do', () => {
  const number = fc.double({ noNaN: true });
  fc.assert(
    fc.property(number, number, (a, b) => {
      const [x, y] = [entryOf('p', a), entryOf('p', b)];
      assert.equal(x < y, a < b);
      assert.equal(x === y, a === b);
    }),
  );
});

test('entries of short texts below the surrogates sort as texts do', () => {
  const text = fc.string({ unit: 'grapheme-ascii', maxLength: 60 });
  fc.assert(
    fc.property(text, text, (a, b) => {
      assert.equal(entryOf('p', a) < entryOf('p', b), a < b);
    }),
  );
});

test('an entry is found again in its key, whatever it holds', () => {
  fc.assert(
    fc.property(value, (v) => {
      const entry = entryOf('a.b', v);
      assert.deepEqual(splitEntry(`${entry}user/1\x00......`), { entry, rest: 'user/1\x00......' });
    }),
  );
  const overflown = splitEntry(`${OVERFLOW_ENTRY}user/1`);
  assert.deepEqual(overflown, { entry: OVERFLOW_ENTRY, rest: 'user/1' });
});

test('too many or too deep attributes make an entity overflown, and every plan looks there', () => {
  const many = Array.from({ length: INDEX_BOUNDS.entries_max + 1 }, (_, i) => i);
  assert.equal(entriesOf({ many: many.slice(1) }).size, INDEX_BOUNDS.entries_max);
  assert.deepEqual([...entriesOf({ many, one: 1 })], [OVERFLOW_ENTRY]);
  const names = Object.fromEntries(many.map((i) => [`n${i}`, i]));
  assert.deepEqual([...entriesOf(names)], [OVERFLOW_ENTRY]);
  let deep: { [key: string]: unknown } = { v: 1 };
  for (let i = 0; i <= INDEX_BOUNDS.depth_max; i++) deep = { d: deep };
  assert.deepEqual([...entriesOf(deep as never)], [OVERFLOW_ENTRY]);
  const ranges = rangesOf({ kind: 'leaf', path: 'p', op: 'eq', values: [1] });
  assert.ok(ranges?.some(({ gte }) => gte === OVERFLOW_ENTRY));
});

test('of a conjunction the most telling part is used; a disjunction needs all of its parts', () => {
  const eq = { kind: 'leaf', path: 'p', op: 'eq', values: ['a'] } as const;
  const gt = { kind: 'leaf', path: 'q', op: 'gt', values: [1] } as const;
  const long = { kind: 'leaf', path: 'x'.repeat(200), op: 'eq', values: [1] } as const;
  const both = rangesOf({ kind: 'and', of: [gt, eq] });
  assert.equal(both?.[0]?.gte, entryOf('p', 'a'));
  assert.equal(rangesOf({ kind: 'or', of: [gt, eq] })?.length, 3);
  assert.equal(rangesOf({ kind: 'or', of: [eq, long] }), undefined);
  assert.equal(rangesOf({ kind: 'and', of: [eq, long] })?.length, 2);
  assert.equal(rangesOf({ kind: 'scan' }), undefined);
});
