import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { scaled, testSeed } from '@memplane/testkit';
import * as map from './or-map.ts';
import { encodeMap } from './or-map-codec.ts';
import * as places from './or-map-places.ts';

const RUNS = scaled('map_place_runs', { ci: 300, soak: 30_000 });
const A = 'a'.repeat(32);
const B = 'b'.repeat(32);
const random = testSeed('or-map-places');

const PATHS = [['f'], ['g'], ['in', 'f'], ['in', 'in', 'g']];
const hex = (state: map.OrMapState) => Buffer.from(encodeMap(state)).toString('hex');

/** A change somewhere, and where. */
function change(state: map.OrMapState): readonly [readonly string[], map.OrMapState] {
  const path = random.pick(PATHS);
  const incarnation = random.pick([A, B]);
  const element = random.pick(['x', 'y', 'ü']);
  const type = random.pick(['counter', 'set', 'register', 'map'] as const);
  const write = { hlc: BigInt(random.int(1, 9)), replica: 'r', value: random.int(0, 9) };
  switch (random.int(0, 5)) {
    case 0:
      return [
        places.placeKeys({ type: 'counter', path }),
        map.incrementField(state, path, incarnation, BigInt(random.int(-3, 9))),
      ];
    case 1:
    case 2:
      return [
        places.placeKeys({ type: 'set', path, element }),
        map.addToField(state, path, incarnation, element),
      ];
    case 3:
      return [
        places.placeKeys({ type: 'register', path }),
        map.writeField(state, path, incarnation, write),
      ];
    default: {
      const keys = random.chance(0.1) ? [] : places.placeKeys({ type, path });
      return [keys, map.removeKeys(state, keys)];
    }
  }
}

describe('places in a map', () => {
  it(`the join at a place is the join, for the state and its delta (seed ${random.seed})`, () => {
    for (let run = 0; run < RUNS; run++) {
      const [state, plain] = [map.emptyMap(), map.emptyMap()];
      const [delta, plainDelta] = [map.emptyMap(), map.emptyMap()];
      for (let step = 0; step < 25; step++) {
        const [keys, made] = change(state);
        places.joinMapAt(state, keys, made);
        map.joinMapInto(plain, made);
        places.joinMapAt(delta, keys, made);
        map.joinMapInto(plainDelta, made);
        assert.equal(hex(state), hex(plain));
        assert.equal(hex(delta), hex(plainDelta));
        assert.ok(places.mapBytes(state) <= places.mapBytes(plain));
      }
    }
  });

  it('gives an incarnation fewer dots in a counter the more have been there', () => {
    const state = map.emptyMap();
    const starts = 60;
    for (let start = 0; start < starts; start++) {
      const incarnation = start.toString(16).padStart(32, '0');
      for (let n = 0; n < 70; n++) {
        const delta = map.incrementField(state, ['f'], incarnation, 1n);
        places.joinMapAt(state, ['c:f'], delta);
      }
    }
    const [field] = places.mapFields(state);
    assert.deepEqual(field, { type: 'counter', path: ['f'], value: BigInt(starts * 70) });
    const leaf = state.root.children.get('c:f');
    assert.ok(leaf !== undefined && 'items' in leaf);
    // 64 / 1 + 64 / 2 + … until it is 4, and then 4 each.
    const room = Math.floor(map.COUNTER_DOTS_MAX * (Math.log(16) + 1));
    assert.ok(leaf.items.length <= room + map.COUNTER_DOTS_MIN * starts, `${leaf.items.length}`);
  });

  it('lists what stands, each field once, whatever types a name has', () => {
    const state = map.emptyMap();
    const does = (delta: map.OrMapState) => void map.joinMapInto(state, delta);
    does(map.incrementField(state, ['n'], A, 3n));
    does(map.incrementField(state, ['n'], B, -1n));
    does(map.addToField(state, ['n'], A, 'y'));
    does(map.addToField(state, ['n'], B, 'x'));
    does(map.writeField(state, ['in', 'r'], A, { hlc: 1n, replica: 'a', value: 'old' }));
    does(map.writeField(state, ['in', 'r'], B, { hlc: 2n, replica: 'b', value: 'new' }));
    does(map.addToField(state, ['gone'], A, 'x'));
    does(map.removeField(state, 'set', ['gone']));
    assert.deepEqual(places.mapFields(state), [
      {
        type: 'register',
        path: ['in', 'r'],
        write: { hlc: 2n, replica: 'b', value: 'new' },
      },
      { type: 'counter', path: ['n'], value: 2n },
      { type: 'set', path: ['n'], elements: ['x', 'y'] },
    ]);
  });
});
