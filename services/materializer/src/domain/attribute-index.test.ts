import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Json, mergePatch } from '@memplane/contracts';
import fc from 'fast-check';
import { AttributeIndex } from './attribute-index.ts';
import { entriesOf } from './index-entries.ts';
import type { Attributes } from './state.ts';

const name = fc.constantFrom('a', 'b', 'a.b', 'ü', '\ud800', '\udfff', '7', 'constructor', '');
const wide = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`k${n}`, n]));
const value = fc.constantFrom<Json>(
  ...[null, 1, 2, 'x', true, [], [1, 2, 1], ['x', { c: 1 }, { c: 2 }], { b: 1 }, { b: 2, c: {} }],
  ...Array.from({ length: 12 }, (_, depth) => nested(depth)),
  wide,
  Array.from({ length: 100 }, (_, n) => `t${n}`),
);
const patches = fc.array(fc.dictionary(name, value, { maxKeys: 3 }), { maxLength: 12 });

function nested(depth: number): Json {
  return depth === 0 ? 1 : { d: nested(depth - 1) };
}

/** All entries made anew from every state: what the index must tell without looking at all. */
function naive(states: readonly Attributes[]): Map<string, number> {
  let held = new Map<string, number>();
  for (const [offset, state] of states.entries()) {
    const now = new Map<string, number>();
    for (const entry of entriesOf(state)) now.set(entry, held.get(entry) ?? offset);
    held = now;
  }
  return held;
}

test('the index moves as if all entries were made anew, also when taken up in between', () => {
  fc.assert(
    fc.property(patches, fc.nat(12), (given, takenUpAt) => {
      let state: Attributes = {};
      let index = new AttributeIndex(state, []);
      const states = [state];
      const held = new Map<string, number>();
      for (const [i, patch] of given.entries()) {
        const offset = i + 1;
        state = mergePatch(state, patch) as Attributes;
        states.push(state);
        index.change(state, patch as Attributes, offset, {
          began: (entry) => {
            assert.ok(!held.has(entry));
            held.set(entry, offset);
          },
          ended: (entry, since) => {
            assert.equal(held.get(entry), since);
            held.delete(entry);
          },
        });
        const expected = naive(states);
        assert.deepEqual(new Map([...held].sort()), new Map([...expected].sort()));
        assert.deepEqual(index.since(state), [...expected.values()]);
        if (i === takenUpAt) index = new AttributeIndex(state, index.since(state));
      }
    }),
    { numRuns: 300 },
  );
});
