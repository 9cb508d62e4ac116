import fc from 'fast-check';
import type { TestLattice } from './test-lattice.ts';

export const REPLICAS = ['a', 'b', 'c'].map((letter) => letter.repeat(32)) as [
  string,
  string,
  string,
];

/** One step of a random history: a mutation at a replica, or one that takes another's state. */
export type Step =
  | { readonly at: number; readonly what: number; readonly arg: number }
  | { readonly at: number; readonly from: number };

export const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ at: fc.nat(2), what: fc.nat(7), arg: fc.nat(12) }) },
    { weight: 1, arbitrary: fc.record({ at: fc.nat(2), from: fc.nat(2) }) },
  ),
  { maxLength: 14, size: 'max' },
);

/** States and deltas that can really come about: from one history, so one dot means one thing. */
export function play<S>(lattice: TestLattice<S>, history: readonly Step[]) {
  const states = REPLICAS.map(() => lattice.empty());
  const deltas: S[] = [];
  const seen: S[] = [lattice.empty()];
  history.forEach((step, index) => {
    const mine = at(states, step.at);
    let source: S;
    if ('from' in step) source = at(states, step.from);
    else {
      source = lattice.mutate(
        mine,
        at(REPLICAS, step.at),
        step.what,
        step.arg,
        BigInt(100 + index),
      );
      deltas.push(source);
    }
    const joined = lattice.join(mine, source);
    states[step.at] = joined;
    seen.push(joined);
  });
  return { states, deltas, seen };
}

export function joinAll<S>(lattice: TestLattice<S>, parts: Iterable<S>): S {
  let all = lattice.empty();
  for (const part of parts) all = lattice.join(all, part);
  return all;
}

export function same<S>(lattice: TestLattice<S>, a: S, b: S): boolean {
  return Buffer.compare(lattice.encode(a), lattice.encode(b)) === 0;
}

/** The laws, each a property that fails by returning false. */
export function laws<S>(lattice: TestLattice<S>): Record<string, fc.IProperty<unknown>> {
  const pick = fc.tuple(steps, fc.nat(), fc.nat(), fc.nat());
  const three = (check: (a: S, b: S, c: S) => boolean) =>
    fc.property(pick, ([history, i, j, k]) => {
      const { seen, deltas } = play(lattice, history);
      const pool = [...seen, ...deltas];
      const any = (n: number) => at(pool, n % pool.length);
      return check(any(i), any(j), any(k));
    });
  const join = lattice.join;
  return {
    commutative: three((a, b) => same(lattice, join(a, b), join(b, a))),
    associative: three((a, b, c) => same(lattice, join(join(a, b), c), join(a, join(b, c)))),
    idempotent: three((a, b) => {
      const ab = join(a, b);
      return same(lattice, join(a, a), a) && same(lattice, join(ab, b), ab);
    }),
    'deltas in any order, repeated, equal full states': fc.property(
      steps,
      fc.infiniteStream(fc.nat()),
      (history, shuffle) => {
        const { states, deltas } = play(lattice, history);
        const order = [...deltas, ...deltas]
          .map((delta) => ({ delta, key: shuffle.next().value as number }))
          .sort((x, y) => x.key - y.key);
        const fromDeltas = joinAll(
          lattice,
          order.map(({ delta }) => delta),
        );
        const fromStates = joinAll(lattice, states);
        return (
          same(lattice, fromDeltas, fromStates) &&
          lattice.digest(fromDeltas) === lattice.digest(fromStates)
        );
      },
    ),
    'the decomposition joins back and has no part to spare': three((a, b) => {
      const whole = join(a, b);
      const parts = [...lattice.decompose(whole)];
      if (!same(lattice, joinAll(lattice, parts), whole)) return false;
      return parts.every(
        (_, index) => !same(lattice, joinAll(lattice, parts.toSpliced(index, 1)), whole),
      );
    }),
  };
}

function at<T>(items: readonly T[], index: number): T {
  const item = items[index];
  if (item === undefined) throw new RangeError(`nothing at ${index}`);
  return item;
}
