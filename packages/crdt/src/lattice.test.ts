import { describe, it } from 'node:test';
import fc from 'fast-check';
import { byName, product } from './combinators.ts';
import { join, joinAll, type Lattice, lessOrEqual } from './lattice.ts';
import * as lattices from './lattices.ts';
import type { OrSetState } from './or-set.ts';
import { patchLattice } from './set-patch.ts';
import * as tested from './test-lattice.ts';
import { play, steps } from './test-world.ts';

const RUNS = Number(process.env['MEMPLANE_PROPERTY_RUNS'] ?? 1000);

interface Case<S> {
  readonly lattice: Lattice<S>;
  readonly history: tested.TestLattice<S>;
  /** Claims make no distributive lattice: fewer of them than the parts may do as much. */
  readonly isDistributive?: false;
}

/** Any two states or deltas of one history, and all states that it came through. */
function pairs<S>({ history }: Case<S>, check: (a: S, b: S, pool: S[]) => boolean) {
  return fc.property(steps, fc.nat(), fc.nat(), (moves, i, j) => {
    const { seen, deltas } = play(history, moves);
    const pool = [...seen, ...deltas];
    const any = (n: number) => pool[n % pool.length] ?? history.empty();
    return check(any(i), any(j), pool);
  });
}

function laws<S>(tried: Case<S>): Record<string, fc.IProperty<unknown>> {
  const { lattice, history } = tried;
  const same = (a: S, b: S) => Buffer.compare(history.encode(a), history.encode(b)) === 0;
  const parts = (state: S) => [...lattice.decompose(state)];
  const both = (a: S, b: S) => join(lattice, a, b);
  return {
    'the order is that of the join': pairs(
      tried,
      (a, b) => lessOrEqual(lattice, a, b) === same(both(a, b), b),
    ),
    'only the bottom is below all': pairs(tried, (a) => {
      const bottom = lattice.bottom();
      return lattice.isBottom(bottom) && lattice.isBottom(a) === same(a, bottom);
    }),
    'a state is the join of its parts, and of none fewer': pairs(tried, (a) => {
      const all = parts(a);
      return (
        same(joinAll(lattice, all), a) &&
        all.every((_, index) => !same(joinAll(lattice, all.toSpliced(index, 1)), a))
      );
    }),
    'a part is irreducible': pairs(tried, (a, _, pool) =>
      parts(a).every((part) => {
        const again = parts(part);
        if (again.length !== 1 || !same(again[0] as S, part)) return false;
        const pieces = pool.flatMap(parts);
        const below = pieces.filter(
          (piece) => lessOrEqual(lattice, piece, part) && !same(piece, part),
        );
        return !same(joinAll(lattice, below), part);
      }),
    ),
    'the difference is what the other lacks': pairs(tried, (a, b) => {
      const missing = lattice.difference(a, b);
      const byParts = parts(a).filter((part) => !same(both(b, part), b));
      const isExact = tried.isDistributive === false || same(missing, joinAll(lattice, byParts));
      return same(both(b, missing), both(a, b)) && isExact;
    }),
    'the difference leaves its arguments as they were': pairs(tried, (a, b) => {
      const before = [history.encode(a), history.encode(b)];
      lattice.joinInto(lattice.clone(lattice.difference(a, b)), b);
      return [a, b].every(
        (state, i) => Buffer.compare(history.encode(state), before[i] as Uint8Array) === 0,
      );
    }),
    'no other state that does as much has fewer parts': pairs(tried, (a, b, pool) => {
      const target = both(a, b);
      const least = parts(lattice.difference(a, b)).length;
      return pool.every((d) => !same(both(b, d), target) || parts(d).length >= least);
    }),
    'no choice of parts that does as much is smaller': pairs(tried, (a, b) => {
      const all = parts(a);
      if (all.length > 7) return true;
      const target = both(a, b);
      const least = parts(lattice.difference(a, b)).length;
      for (let chosen = 0; chosen < 1 << all.length; chosen++) {
        const some = all.filter((_, index) => (chosen >> index) & 1);
        if (some.length < least && same(both(b, joinAll(lattice, some)), target)) return false;
      }
      return true;
    }),
  };
}

function checkLaws<S>(tried: Case<S>): void {
  describe(`${tried.history.name}: order, parts and differences`, () => {
    for (const [name, law] of Object.entries(laws(tried))) {
      it(name, () => fc.assert(law, { numRuns: RUNS }));
    }
  });
}

const set = { lattice: lattices.setLattice, history: tested.setLattice };
checkLaws({ lattice: lattices.counterLattice, history: tested.counterLattice });
checkLaws(set);
checkLaws({ lattice: lattices.registerLattice, history: tested.registerLattice });
checkLaws({
  lattice: lattices.counterLattice,
  history: tested.claimedCounterLattice,
  isDistributive: false,
});
checkLaws({ lattice: lattices.mapLattice, history: tested.mapTestLattice });
checkLaws({ lattice: lattices.flagLattice, history: tested.flagTestLattice });

checkLaws({ lattice: patchLattice, history: tested.patchTestLattice });

interface Pair {
  set: Map<string, OrSetState>;
  other: OrSetState;
}
const pairLattice = product<Pair>('pair', {
  set: byName(lattices.setLattice),
  other: lattices.setLattice,
});
checkLaws<Pair>({
  lattice: pairLattice,
  history: {
    name: 'pair',
    empty: pairLattice.bottom,
    join: (a, b) => join(pairLattice, a, b),
    mutate(state, at, what, arg, stamp) {
      const name = `n${arg % 2}`;
      const old = state.set.get(name) ?? tested.setLattice.empty();
      if (arg % 3 === 0) {
        const other = tested.setLattice.mutate(state.other, at, what, arg, stamp);
        return { ...pairLattice.bottom(), other };
      }
      const delta = tested.setLattice.mutate(old, at, what, arg, stamp);
      const set = new Map(lattices.setLattice.isBottom(delta) ? [] : [[name, delta]]);
      return { ...pairLattice.bottom(), set };
    },
    decompose: pairLattice.decompose,
    encode: ({ set, other }) =>
      Buffer.concat([
        tested.setLattice.encode(other),
        ...[...set]
          .sort((a, b) => (a[0] < b[0] ? -1 : 1))
          .flatMap(([name, value]) => [Buffer.from(name), tested.setLattice.encode(value)]),
      ]),
    digest: () => 0n,
  },
});

describe('the laws find planted bugs in differences', () => {
  const { lattice } = set;
  const broken: Record<string, Lattice<OrSetState>> = {
    'one that keeps no removals': {
      ...lattice,
      difference(a, b) {
        const { elements } = lattice.difference(a, b);
        const dots = [...elements.values()].flat();
        return joinAll(
          lattice,
          [...lattice.decompose(a)].filter((part) =>
            dots.some((dot) => part.context.has(dot.incarnation) && part.elements.size > 0),
          ),
        );
      },
    },
    'one that sends the whole context': {
      ...lattice,
      difference: (a, b) => ({ ...lattice.difference(a, b), context: a.context }),
    },
    'one that sends too much': { ...lattice, difference: (a) => a },
  };
  for (const [name, lattice] of Object.entries(broken)) {
    it(name, () => {
      const found = Object.values(laws({ ...set, lattice })).some(
        (law) => fc.check(law, { numRuns: RUNS }).failed,
      );
      if (!found) throw new Error('no law noticed');
    });
  }
});
