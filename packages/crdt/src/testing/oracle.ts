import { dotKey } from '../causal-difference.ts';
import type { Incarnation } from '../dot.ts';
import { encodeKeyed, type KeyedState, keyedLattice } from '../keyed.ts';
import { joinAll, lessOrEqual } from '../lattice.ts';
import { naiveValues } from './naive.ts';
import { withoutClaims } from './op-ids.ts';
import { issuedDots, OPERATIONS } from './operations.ts';
import { Violation } from './planted-bugs.ts';

export type Vector = ReadonlyMap<Incarnation, number>;

export interface Operation {
  readonly incarnation: Incarnation;
  readonly seq: number;
  /** As it should be, whatever the planted bug makes of it. */
  readonly delta: KeyedState;
  /** The operations that its replica had seen. */
  readonly past: Vector;
  /** Written to its replica's disk: it must not be lost. */
  isDurable: boolean;
}

/** Which operations a state says that it has: of each incarnation, the first so many. */
export function vectorOf(state: KeyedState): Map<Incarnation, number> {
  const entries = state.counters.get(OPERATIONS)?.entries ?? new Map();
  return new Map([...entries].map(([incarnation, { seq }]) => [incarnation, seq]));
}

/** Knows all operations of a run, and what must hold of every state. */
export class Oracle {
  /** Deltas keep causes first; states that are taken over do not, nor do deltas made on them. */
  isCausal = true;
  readonly #operations = new Map<string, Operation>();
  readonly #issued = new Set<string>();

  record(operation: Operation): void {
    for (const { name, dot } of issuedDots(operation.delta)) {
      const key = `${name} ${dotKey(dot)}`;
      if (this.#issued.has(key)) throw new Violation('no dot twice', key);
      this.#issued.add(key);
    }
    this.#operations.set(dotKey(operation), operation);
  }

  markDurable(state: KeyedState, own: Incarnation): void {
    for (let seq = vectorOf(state).get(own) ?? 0; seq > 0; seq--) {
      const operation = this.#operations.get(dotKey({ incarnation: own, seq }));
      if (operation === undefined || operation.isDurable) return;
      operation.isDurable = true;
    }
  }

  /** What a state has come to say that it has, it has, and all that came before. */
  checkGrowth(before: Vector, state: KeyedState): void {
    const vector = vectorOf(state);
    for (const [incarnation, seq] of vector) {
      for (let next = (before.get(incarnation) ?? 0) + 1; next <= seq; next++) {
        const operation = this.#operations.get(dotKey({ incarnation, seq: next }));
        if (operation === undefined) throw new Violation('no operation from nowhere', incarnation);
        if (!lessOrEqual(keyedLattice, operation.delta, state)) {
          throw new Violation('causes first', `${incarnation} ${next} is not whole`);
        }
        if (this.isCausal) checkPast(operation, vector);
      }
    }
  }

  /** At the end, when all was healed: every state is that of the same operations. */
  checkEnd(states: readonly KeyedState[]): void {
    const [first = keyedLattice.bottom()] = states;
    const bytes = encodeKeyed(withoutClaims(first, 'counter'));
    for (const state of states) {
      if (Buffer.compare(encodeKeyed(withoutClaims(state, 'counter')), bytes) !== 0) {
        throw new Violation('equal digests', 'replicas differ after healing');
      }
    }
    const vector = vectorOf(first);
    const done: KeyedState[] = [];
    for (const { incarnation, seq, delta, isDurable } of this.#operations.values()) {
      const isThere = seq <= (vector.get(incarnation) ?? 0);
      if (isDurable && !isThere) throw new Violation('nothing durable is lost', `${incarnation}`);
      if (isThere) done.push(withoutClaims(delta, 'nothing'));
    }
    const folded = withoutClaims(first, 'nothing');
    if (naiveValues(done) !== naiveValues([folded])) {
      throw new Violation('values of the fold', 'a value is not what the operations make');
    }
    const foldedBytes = encodeKeyed(folded);
    if (Buffer.compare(encodeKeyed(joinAll(keyedLattice, done)), foldedBytes) !== 0) {
      throw new Violation('digest of the fold', 'the state is not the join of the operations');
    }
  }
}

function checkPast({ past, incarnation, seq }: Operation, vector: Vector): void {
  for (const [cause, number] of past) {
    if (number > (vector.get(cause) ?? 0)) {
      throw new Violation('causes first', `${incarnation} ${seq} came before ${cause} ${number}`);
    }
  }
}
