import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Cut, cutInEpoch } from './position.ts';
import { decodeToken, encodeToken, joinCuts } from './token.ts';

const LOG = '018f4e6a-2b7c-7d10-9a55-0123456789ab';
const seed = Date.now() & 0x7fffffff;
console.log(`token seed ${seed}`);

function cut(epoch: number, offsets: [number, number][], partitions?: number): Cut {
  const told = partitions === undefined ? {} : { partitions };
  return { logId: LOG, epoch, ...told, offsets: new Map(offsets) };
}

test('a token of a log that never grew is written as ever; later ones tell the partitions', () => {
  const plain = cut(0, [[3, 7]]);
  assert.deepEqual(decodeToken(encodeToken(plain)), plain);
  // Written by the version before.
  const asEver = 'mpt_AQGPTmorfH0QmlUBI0VniasAAAEDCAVIZ-E';
  assert.equal(encodeToken(plain), asEver);
  assert.equal(encodeToken(cut(0, [[3, 7]], 12)), encodeToken(plain));
  const grown = { ...cut(2, [[30, -1]], 48), timeMs: 1_790_000_000_000 };
  assert.deepEqual(decodeToken(encodeToken(grown)), grown);
});

test('what an earlier epoch included is included in each partition that came out of it', () => {
  const shape = { epoch: 2, partitions: 48 };
  const moved = cutInEpoch(cut(0, [[3, 7]]), shape);
  assert.deepEqual(
    [...moved.offsets],
    [3, 15, 27, 39].map((p) => [p, 7]),
  );
  assert.deepEqual([...cutInEpoch(cut(1, [[13, 2]], 24), shape).offsets.keys()], [13, 37]);
  assert.equal(moved.partitions, 48);
  const now = cut(2, [[1, 1]], 48);
  assert.equal(cutInEpoch(now, shape), now);
});

test('tokens of several epochs join to what each of them includes', () => {
  const joined = joinCuts([cut(0, [[0, 5]]), cut(1, [[12, 9]], 24), cut(0, [[0, 4]])]);
  assert.deepEqual(joined, cut(1, [[0, 5], [12, 9]], 24)); // biome-ignore format: one cut a line
  const shapes = [12, 24, 48];
  const someCut = fc
    .tuple(fc.nat(2), fc.array(fc.tuple(fc.nat(100), fc.integer({ min: -1, max: 50 }))))
    .map(([epoch, offsets]) => {
      const partitions = shapes[epoch] ?? 0;
      const placed = offsets.map(([p, o]): [number, number] => [p % partitions, o]);
      return cut(epoch, placed, epoch === 0 ? undefined : partitions);
    });
  fc.assert(
    fc.property(fc.array(someCut, { minLength: 1, maxLength: 5 }), (cuts) => {
      const [first, ...rest] = cuts as [Cut, ...Cut[]];
      const all = decodeToken(encodeToken(joinCuts([first, ...rest])));
      const shape = { epoch: 2, partitions: 48 };
      const whole = cutInEpoch(all, shape);
      const parts = cuts.map((one) => cutInEpoch(one, shape));
      for (let p = 0; p < 48; p++) {
        const most = Math.max(...parts.map((one) => one.offsets.get(p) ?? -2));
        assert.equal(whole.offsets.get(p) ?? -2, most);
      }
    }),
    { seed },
  );
});

test('a newest epoch that does not tell its partitions joins with no other', () => {
  assert.throws(() => joinCuts([cut(0, [[0, 5]]), cut(1, [[0, 5]])]), { code: 'invalid_token' });
});
