import { describe, it } from 'node:test';
import fc from 'fast-check';
import { encodeSet } from './codec.ts';
import { containsDot, subtractContext } from './context.ts';
import type { Dot } from './dot.ts';
import { join } from './lattice.ts';
import { joinSets, type OrSetState } from './or-set.ts';
import { setDeltaLattice } from './replica-delta.ts';
import { deltaOfSet, joinPatchIntoSet, setOfDelta } from './set-delta.ts';
import type { SetPatch } from './set-patch.ts';
import { patchTestLattice, setLattice } from './test-lattice.ts';
import { play, steps } from './test-world.ts';

const RUNS = Number(process.env['MEMPLANE_PROPERTY_RUNS'] ?? 1000);

function same(a: OrSetState, b: OrSetState): boolean {
  return Buffer.compare(encodeSet(a), encodeSet(b)) === 0;
}

describe('a delta of a set', () => {
  it('of a whole state is that state', () => {
    fc.assert(
      fc.property(steps, (history) =>
        play(setLattice, history).seen.every((state) => same(setOfDelta(deltaOfSet(state)), state)),
      ),
      { numRuns: RUNS },
    );
  });

  it('names the removed apart from what stands', () => {
    fc.assert(
      fc.property(steps, (history) =>
        play(setLattice, history).seen.every((state) => {
          const { patch, cleared } = deltaOfSet(state);
          const standing: Dot[] = [...patch.values()].flatMap(({ dots }) => [...dots]);
          return (
            standing.every((dot) => !containsDot(cleared, dot)) &&
            subtractContext(cleared, state.context).size === 0
          );
        }),
      ),
      { numRuns: RUNS },
    );
  });

  it('joins with others as the states do', () => {
    fc.assert(
      fc.property(steps, fc.nat(), fc.nat(), (history, i, j) => {
        const { seen, deltas } = play(setLattice, history);
        const pool = [...seen, ...deltas];
        const [a, b] = [pool[i % pool.length] as OrSetState, pool[j % pool.length] as OrSetState];
        const joined = join(setDeltaLattice, deltaOfSet(a), deltaOfSet(b));
        return same(setOfDelta(joined), joinSets(a, b));
      }),
      { numRuns: RUNS },
    );
  });

  it('that names its elements is joined as the state that it comes to', () => {
    fc.assert(
      fc.property(steps, fc.nat(), fc.nat(), (history, i, j) => {
        const { seen, deltas } = play(patchTestLattice, history);
        const ofPatch = (patch: SetPatch) => setOfDelta({ patch, cleared: new Map() });
        const a = seen[i % seen.length] ?? new Map();
        const b = deltas[j % deltas.length] ?? new Map();
        const set = ofPatch(a);
        const before = encodeSet(set);
        const grew = joinPatchIntoSet(set, b);
        const isOther = Buffer.compare(before, encodeSet(set)) !== 0;
        return grew === isOther && same(set, joinSets(ofPatch(a), ofPatch(b)));
      }),
      { numRuns: RUNS },
    );
  });
});
