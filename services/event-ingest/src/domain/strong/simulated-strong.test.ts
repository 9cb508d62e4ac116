import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scaled } from '@memplane/testkit';
import fc from 'fast-check';
import { type PlantedBug, SimulatedStrong } from './simulated-strong.ts';

const RUNS = scaled('strong_simulation_runs', { ci: 1_500, soak: 100_000 });

/** mulberry32 (public domain, by Tommy Ettinger). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** @returns what was broken, with the seed that shows it */
function firstFailure(runs: number, bug: PlantedBug): string | undefined {
  for (let seed = 0; seed < runs; seed++) {
    try {
      new SimulatedStrong(randomOf(seed), bug).run();
    } catch (error) {
      return `seed ${seed}: ${error instanceof Error ? error.message : error}`;
    }
  }
  return undefined;
}

test('appends, leases and reads of several instances hold what they promise', () => {
  const seen: Record<string, number> = {};
  fc.assert(
    fc.property(fc.noShrink(fc.nat()), (seed) => {
      const simulated = new SimulatedStrong(randomOf(seed));
      simulated.run();
      for (const [what, times] of Object.entries(simulated.seen)) {
        seen[what] = (seen[what] ?? 0) + times;
      }
    }),
    { numRuns: RUNS },
  );
  for (const [what, times] of Object.entries(seen))
    assert.ok(times > RUNS / 20, `${what}: ${times}`);
});

const BUGS: readonly PlantedBug[] = [
  'clears before it produces',
  'looks for no nonce',
  'raises after the answer',
  'takes over by wall clock',
  'follows an unfinished intent',
  'refuses by what it saw long ago',
];

for (const bug of BUGS) {
  test(`the simulation finds what ${bug}`, (context) => {
    const found = firstFailure(1_500, bug);
    assert.ok(found, 'not found');
    context.diagnostic(found);
  });
}
