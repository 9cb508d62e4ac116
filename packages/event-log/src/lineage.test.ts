import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  barrierOf,
  grownLineage,
  homeEnd,
  homeOf,
  isForeign,
  type Lineage,
  parentOf,
} from './lineage.ts';
import { partitionOf } from './murmur2.ts';

const seed = Date.now() & 0x7fffffff;
console.log(`lineage seed ${seed}`);

type Step = { readonly append: string } | { readonly grow: true };
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.nat(40).map((n) => ({ append: `user/${n}` })) },
  { weight: 1, arbitrary: fc.constant({ grow: true as const }) },
);

interface Simulated {
  readonly lineage: Lineage | undefined;
  /** By partition, at its offsets: the keys that were appended to it. */
  readonly stored: (string | undefined)[][];
  /** By key: which of its appends are where, in order. */
  readonly appended: Map<string, number[]>;
}

/** A log of whole numbers: appends go to the partition of the moment, doublings split all. */
function simulate(partitions: number, steps: readonly Step[]): Simulated {
  let lineage: Lineage | undefined;
  const stored: (string | undefined)[][] = Array.from({ length: partitions }, () => []);
  const appended = new Map<string, number[]>();
  for (const one of steps) {
    if ('grow' in one) {
      if (stored.length > 40) continue;
      const ends = stored.map((records) => records.length);
      lineage = grownLineage(lineage, ends);
      for (const end of ends) stored.push(Array.from({ length: end }));
    } else {
      const records = stored[partitionOf(one.append, stored.length)] ?? [];
      const offsets = appended.get(one.append) ?? [];
      appended.set(one.append, [...offsets, records.length]);
      records.push(one.append);
    }
  }
  return { lineage, stored, appended };
}

/** All that a partition's reader sees of it, from 0 on. */
function readAll({ lineage, stored }: Simulated, partition: number): [number, string][] {
  const found: [number, string][] = [];
  const end = stored[partition]?.length ?? 0;
  for (let at = 0; at < end; ) {
    const home = lineage === undefined ? partition : homeOf(lineage, partition, at);
    const until = lineage === undefined ? end : Math.min(end, homeEnd(lineage, partition, at));
    assert.ok(until > at, 'a read goes on');
    for (; at < until; at++) {
      const key = stored[home]?.[at];
      assert.ok(key !== undefined, `a hole at ${home}/${at}`);
      if (!isForeign(key, partition, stored.length)) found.push([at, key]);
    }
  }
  return found;
}

test('whatever the doublings: an entity has one order, in one partition, and nothing is lost', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 300 }), (n, steps) => {
      const log = simulate(n, steps);
      const seen = new Map<string, number[]>();
      for (let p = 0; p < log.stored.length; p++) {
        for (const [offset, key] of readAll(log, p)) {
          assert.equal(partitionOf(key, log.stored.length), p);
          seen.set(key, [...(seen.get(key) ?? []), offset]);
        }
      }
      assert.deepEqual(seen, log.appended);
      for (const offsets of seen.values()) {
        assert.deepEqual(
          offsets,
          [...offsets].sort((a, b) => a - b),
          'its offsets rise',
        );
      }
    }),
    { seed, numRuns: 300 },
  );
});

test('the barrier of each earlier epoch is where the partition was split then', () => {
  const once = grownLineage(undefined, [5, 7]);
  const twice = grownLineage(once, [6, 7, 9, 8]);
  assert.deepEqual(twice, { partitionsInitial: 2, bases: [0, 0, 5, 7, 6, 7, 9, 8] });
  assert.equal(barrierOf(undefined, 0, 2), undefined);
  assert.equal(barrierOf(once, 0, 2), 5);
  assert.equal(barrierOf(once, 0, 4), undefined);
  assert.equal(barrierOf(twice, 0, 2), 5);
  assert.equal(barrierOf(twice, 2, 4), 9);
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 6, 7].map((p) => parentOf(twice, p)),
    [undefined, undefined, 0, 1, 0, 1, 2, 3],
  );
  assert.equal(homeOf(twice, 6, 8), 2);
  assert.equal(homeOf(twice, 6, 4), 0);
  assert.equal(homeEnd(twice, 6, 4), 5);
  assert.equal(homeEnd(twice, 6, 5), 9);
  assert.equal(homeEnd(twice, 6, 9), Number.POSITIVE_INFINITY);
});
