/**
 * A delta-state CRDT as a join-semilattice with a bottom. States and deltas are of one type. All
 * functions are pure but for {@link Lattice.joinInto}; what they return may share parts with what
 * they were given, so a state is changed only by whoever made it with `bottom` or `clone`.
 *
 * Of reachable states, `decompose` gives the unique irredundant join decomposition and `difference`
 * the optimal delta: Enes, Almeida, Baquero, Leitão, "Efficient Synchronization of State-based
 * CRDTs" (ICDE 2019). In a causal type one irreducible is one dot: with its element where that
 * stands, alone where it was removed. The dot alone is above the dot with its element.
 */
export interface Lattice<S> {
  readonly name: string;
  bottom(): S;
  clone(state: S): S;
  /** Joins `source` into `target` in place. Returns whether `target` grew. */
  joinInto(target: S, source: S): boolean;
  isBottom(state: S): boolean;
  /** As many parts as there are dots: for tests and small states. */
  decompose(state: S): Iterable<S>;
  /** Δ(a, b): the join of those irreducibles of `a` that are not in `b`. */
  difference(a: S, b: S): S;
}

export function join<S>(lattice: Lattice<S>, a: S, b: S): S {
  const joined = lattice.clone(a);
  lattice.joinInto(joined, b);
  return joined;
}

export function joinAll<S>(lattice: Lattice<S>, states: Iterable<S>): S {
  const joined = lattice.bottom();
  for (const state of states) lattice.joinInto(joined, state);
  return joined;
}

/** The partial order: whether joining `a` into `b` would change nothing. */
export function lessOrEqual<S>(lattice: Lattice<S>, a: S, b: S): boolean {
  return lattice.isBottom(lattice.difference(a, b));
}
