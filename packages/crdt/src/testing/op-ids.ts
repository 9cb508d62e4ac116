import type { Seeded } from '@memplane/testkit';
import * as counter from '../counter.ts';
import type { Incarnation } from '../dot.ts';
import { type KeyedState, keyedLattice } from '../keyed.ts';
import { type Claim, compareClaims } from '../op-claims.ts';
import type { Vector } from '../replication/vector.ts';
import { type Actor, OPERATIONS } from './operations.ts';
import { type PlantedBug, Violation } from './planted-bugs.ts';

/** The counter that is incremented with operation ids. */
export const CLAIMED = 'claimed';
/** How long an id may be repeated, by anybody's clock; these may differ by so much. */
const MEMORY_MS = 120;
const SKEW_MS = 120;
const RECENT = 6;

interface OpId {
  readonly opId: string;
  readonly by: number;
  readonly madeAtMs: number;
}

interface Counted {
  readonly opId: string | undefined;
  readonly by: number;
  readonly incarnation: Incarnation;
  readonly seq: number;
  /** Its place in {@link OPERATIONS}. */
  readonly operation: number;
  readonly claim: Claim | undefined;
}

/** The operation ids of a run, which any number of replicas are asked to count, and what they are to come to. */
export class OpIds {
  readonly bug: PlantedBug | undefined;
  readonly #ids: OpId[] = [];
  readonly #counted: Counted[] = [];
  repetitions = 0;
  contested = 0;
  forgotten = 0;

  constructor(bug: PlantedBug | undefined) {
    this.bug = bug;
  }

  /** The delta of a request, or of a reset; undefined where it changes nothing. */
  operate(
    state: KeyedState,
    actor: Actor,
    { commit, wallMs, random }: { commit: number; wallMs: number; random: Seeded },
  ): KeyedState | undefined {
    const mine = state.counters.get(CLAIMED) ?? counter.emptyCounter();
    const { incarnation } = actor;
    const numbers = state.counters.get(OPERATIONS) ?? counter.emptyCounter();
    const number = counter.increment(numbers, incarnation, 1n, 'pn');
    const delta = keyedLattice.bottom();
    delta.counters.set(OPERATIONS, number);
    const choice = random.next();
    if (choice < 0.1) {
      delta.counters.set(CLAIMED, counter.resetCounter(mine));
      return delta;
    }
    const asked = choice < 0.25 ? undefined : this.#pick(wallMs, random);
    const by = asked?.by ?? random.int(-5, 9);
    if (asked !== undefined) {
      const isKnown = mine.claims?.has(asked.opId) || mine.contested?.has(asked.opId);
      if (isKnown || wallMs - asked.madeAtMs > MEMORY_MS) return undefined;
    }
    const added = counter.increment(mine, incarnation, BigInt(by), 'pn');
    const seq = added.entries.get(incarnation)?.seq ?? 0;
    const operation = number.entries.get(incarnation)?.seq ?? 0;
    const claim = { by, hlc: actor.hlc, incarnation, seq, commit };
    if (asked !== undefined) added.claims = new Map([[asked.opId, claim]]);
    delta.counters.set(CLAIMED, added);
    const counted = { opId: asked?.opId, by, incarnation, seq, operation };
    this.#counted.push({ ...counted, claim: asked && claim });
    return delta;
  }

  /** Forgets what may be forgotten: what nobody takes any more and all others have for good. */
  forget(state: KeyedState, wallMs: number, durable: readonly Vector[]): void {
    const { claims } = state.counters.get(CLAIMED) ?? {};
    for (const [opId, { hlc, incarnation, commit }] of claims ?? []) {
      const fromMs = Math.max(Number(hlc), this.#ids.find((it) => it.opId === opId)?.madeAtMs ?? 0);
      const isOver = wallMs - fromMs > MEMORY_MS + SKEW_MS;
      const isStable = durable.every((known) => (known.get(incarnation) ?? 0) >= commit);
      if (!isOver || (!isStable && this.bug !== 'forgotten-unstable')) continue;
      claims?.delete(opId);
      this.forgotten++;
    }
  }

  /** Each id counts once where any that counted it is left, and not where a reset has seen that. */
  checkEnd(state: KeyedState): void {
    const mine = state.counters.get(CLAIMED) ?? counter.emptyCounter();
    const entries = new Map(mine.entries);
    const operations = state.counters.get(OPERATIONS)?.entries;
    const isHere = ({ incarnation, seq, operation }: Counted) => {
      const { seq: last = 0, resetSeq = 0 } = entries.get(incarnation) ?? {};
      const isWhole = operation <= (operations?.get(incarnation)?.seq ?? 0);
      // A reset alone may have come of what was lost in a crash: nothing is left to count.
      return seq <= last && (isWhole || seq > resetSeq);
    };
    const least = new Map<string, Counted>();
    const counting: Counted[] = [];
    for (const one of this.#counted.filter(isHere)) {
      if (one.opId === undefined || one.claim === undefined) counting.push(one);
      else {
        const before = least.get(one.opId)?.claim;
        if (before !== undefined) this.repetitions++;
        if (before === undefined || compareClaims(one.claim, before) < 0) least.set(one.opId, one);
      }
    }
    let expected = 0n;
    for (const { incarnation, seq, by } of [...counting, ...least.values()]) {
      if (seq > (entries.get(incarnation)?.resetSeq ?? 0)) expected += BigInt(by);
    }
    this.contested += mine.contested?.size ?? 0;
    const sum = counter.ownSum(mine);
    if (sum !== expected) {
      throw new Violation('operation ids count once', `${sum} in place of ${expected}`);
    }
  }

  /** A new one, or one that somebody was asked for a while ago. */
  #pick(wallMs: number, random: Seeded): OpId {
    if (this.#ids.length === 0 || random.chance(0.4)) {
      const opId = `op${this.#ids.length}`;
      this.#ids.push({ opId, by: random.int(1, 9), madeAtMs: wallMs });
    }
    return random.pick(this.#ids.slice(-RECENT));
  }
}

/** A delta or state without what counts operation ids, or all of it but for what may be forgotten. */
export function withoutClaims(state: KeyedState, keeps: 'counter' | 'nothing'): KeyedState {
  const claimed = state.counters.get(CLAIMED);
  if (claimed === undefined) return state;
  const counters = new Map(state.counters);
  if (keeps === 'nothing') counters.delete(CLAIMED);
  else counters.set(CLAIMED, { ...claimed, claims: undefined });
  return { ...state, counters };
}

/** What a bug makes of a join of claims. */
export function plantInClaims(
  state: KeyedState,
  before: counter.CounterState,
  received: KeyedState,
  bug: PlantedBug | undefined,
): void {
  const joined = state.counters.get(CLAIMED);
  const theirs = received.counters.get(CLAIMED);
  if (joined === undefined || theirs === undefined) return;
  if (bug === 'greatest-claim') {
    for (const [opId, claim] of before.claims ?? []) {
      const other = theirs.claims?.get(opId);
      if (other === undefined) continue;
      joined.claims?.set(opId, compareClaims(claim, other) > 0 ? claim : other);
      joined.contested?.set(opId, [compareClaims(claim, other) > 0 ? other : claim]);
    }
  } else if (bug === 'reset-claims-kept') {
    for (const [opId, claims] of [...(before.contested ?? []), ...(theirs.contested ?? [])]) {
      joined.contested ??= new Map();
      if (!joined.contested.has(opId)) joined.contested.set(opId, claims);
    }
  }
}
