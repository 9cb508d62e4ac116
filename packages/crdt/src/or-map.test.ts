import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { join } from './lattice.ts';
import { mapLattice } from './lattices.ts';
import * as map from './or-map.ts';
import { fieldsOf, readCounterField, readRegisterField, readSetField } from './or-map-reads.ts';

const A = 'a'.repeat(32);
const B = 'b'.repeat(32);
const both = (a: map.OrMapState, b: map.OrMapState) => join(mapLattice, a, b);
/** A state after some mutations. */
const after = (
  state: map.OrMapState,
  ...mutations: ((state: map.OrMapState) => map.OrMapState)[]
) => mutations.reduce((reached, mutate) => both(reached, mutate(reached)), state);

const ROOM = after(
  map.emptyMap(),
  (it) => map.incrementField(it, ['room', 'visits'], A, 5n),
  (it) => map.addToField(it, ['room', 'tags'], A, 'red'),
  (it) => map.writeField(it, ['room', 'title'], A, { hlc: 1n, replica: 'a', value: 'old' }),
);

describe('or-map', () => {
  it('reads what was written, by type, name and path', () => {
    assert.equal(readCounterField(ROOM, ['room', 'visits']), 5n);
    assert.deepEqual(readSetField(ROOM, ['room', 'tags']), ['red']);
    assert.equal(readRegisterField(ROOM, ['room', 'title'])?.value, 'old');
    assert.deepEqual(fieldsOf(ROOM, []), [{ type: 'map', name: 'room' }]);
    assert.deepEqual(
      fieldsOf(ROOM, ['room'])
        .map(({ name }) => name)
        .sort(),
      ['tags', 'title', 'visits'],
    );
    assert.equal(readCounterField(ROOM, ['room', 'title']), 0n);
  });

  it('lets a removal of a key take what it saw, and an update that it did not see survive', () => {
    const removal = map.removeField(ROOM, 'map', ['room']);
    const update = after(
      ROOM,
      (it) => map.incrementField(it, ['room', 'visits'], B, 2n),
      (it) => map.addToField(it, ['room', 'tags'], B, 'blue'),
    );
    assert.equal(both(ROOM, removal).root.children.size, 0);
    const joined = both(update, removal);
    assert.equal(readCounterField(joined, ['room', 'visits']), 2n);
    assert.deepEqual(readSetField(joined, ['room', 'tags']), ['blue']);
    assert.equal(readRegisterField(joined, ['room', 'title']), undefined);
    assert.deepEqual(both(removal, update), joined);
  });

  it('resets one nested value alone', () => {
    const reset = both(ROOM, map.removeField(ROOM, 'set', ['room', 'tags']));
    assert.deepEqual(readSetField(reset, ['room', 'tags']), []);
    assert.equal(readCounterField(reset, ['room', 'visits']), 5n);
  });

  it('leaves nothing of a removed key but dots in the context, and does not bring it back', () => {
    const gone = both(ROOM, map.resetMap(ROOM));
    assert.equal(gone.root.children.size, 0);
    assert.deepEqual([...gone.context], [[A, [1, 3]]]);
    assert.deepEqual(both(gone, ROOM), gone);
  });

  it('keeps both where two types have one name', () => {
    const a = map.incrementField(map.emptyMap(), ['x'], A, 1n);
    const b = map.addToField(map.emptyMap(), ['x'], B, 'e');
    const joined = both(a, b);
    assert.equal(readCounterField(joined, ['x']), 1n);
    assert.deepEqual(readSetField(joined, ['x']), ['e']);
  });

  it('resets a counter exactly, whatever was added concurrently', () => {
    const seen = map.incrementField(map.emptyMap(), ['n'], A, 10n);
    const reset = map.removeField(seen, 'counter', ['n']);
    const more = after(seen, (it) => map.incrementField(it, ['n'], A, 7n));
    assert.equal(readCounterField(both(more, reset), ['n']), 7n);
  });

  it('keeps a bounded number of dots in a counter', () => {
    let state = map.emptyMap();
    for (let i = 0; i < 1000; i++) {
      state = both(state, map.incrementField(state, ['n'], i % 2 === 0 ? A : B, 1n));
    }
    assert.equal(readCounterField(state, ['n']), 1000n);
    assert.ok(
      [...mapLattice.decompose(state)].filter((it) => it.root.children.size > 0).length <= 128,
    );
  });

  it('refuses paths that are empty or too deep', () => {
    const deep = Array.from({ length: map.MAP_DEPTH_MAX + 1 }, () => 'x');
    for (const path of [[], deep]) {
      assert.throws(() => map.incrementField(map.emptyMap(), path, A, 1n), {
        code: 'invalid_request',
      });
    }
  });
});
