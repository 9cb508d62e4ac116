import * as crdt from '@memplane/crdt';
import { type Seeded, seeded } from '@memplane/testkit';

/** The same joins for both sides: what is joined, in which order, into which state. */
export interface JoinTrace {
  readonly what: string;
  readonly isDelta: boolean;
  /** What a reader of the figure has to know. */
  readonly note?: string;
  /** What Pekko is told to have them too. */
  readonly lines: readonly string[];
  /** Joins all into a state made anew. @returns milliseconds */
  readonly joinAll: () => number;
  readonly joins: number;
  /** After all joins. */
  readonly value: () => string;
}

/** A type that is joined, and how it is changed at random. */
interface Joined<S, D> {
  readonly pekko: string;
  readonly bottom: () => S;
  readonly clone: (state: S) => S;
  readonly joinState: (target: S, state: S) => void;
  readonly joinDelta: (target: S, delta: D) => void;
  readonly operate: (state: S, at: number, random: Seeded) => [delta: D, words: string];
  readonly value: (state: S) => string;
}

const ORIGINS = 4;
/**
 * Replicas take each other's state in between, so that they do not drift apart for ever. No multiple
 * of `ORIGINS`, or it would be the turn of the same one each time.
 */
const EXCHANGE_OPERATIONS = 7;

interface Sizes {
  readonly what: string;
  readonly seed: number;
  /** Before the joins begin. */
  readonly operations: number;
  readonly joins: number;
}

/**
 * Four replicas change a value in turn. A fifth joins what each change made: its delta, or the whole
 * state of the replica after it.
 */
function trace<S, D>(type: Joined<S, D>, isDelta: boolean, sizes: Sizes): JoinTrace {
  const { bottom, clone, joinState, joinDelta, operate, pekko, value } = type;
  const random = seeded(sizes.seed);
  const lines = [`world\t${pekko}\t${ORIGINS + 1}\tquiet`];
  const replicas = Array.from({ length: ORIGINS + 1 }, bottom);
  const changes = new Array<number>(ORIGINS).fill(0);
  let states = 0;
  const send = (from: number) => {
    lines.push(`state\t${from}`);
    return states++;
  };
  const exchange = (to: number, from: number) => {
    joinState(replicas[to] as S, clone(replicas[from] as S));
    lines.push(`merge\t${to}\t${send(from)}`);
  };
  const change = (at: number) => {
    const state = replicas[at] as S;
    const [delta, words] = operate(state, at, random);
    joinDelta(state, delta);
    lines.push(`op\t${at}\t${words}`);
    changes[at] = (changes[at] ?? 0) + 1;
    return delta;
  };
  for (let i = 0; i < sizes.operations; i++) change(i % ORIGINS);
  for (let from = 0; from < ORIGINS; from++) exchange(ORIGINS, from);
  for (let to = 0; to < ORIGINS; to++) exchange(to, ORIGINS);
  const start = clone(replicas[ORIGINS] as S);
  lines.push(`start\t${send(ORIGINS)}`);
  const deltas: D[] = [];
  const snapshots: S[] = [];
  for (let i = 0; i < sizes.joins; i++) {
    const at = i % ORIGINS;
    if (i % EXCHANGE_OPERATIONS === 0) exchange(at, random.int(0, ORIGINS - 1));
    const delta = change(at);
    if (isDelta) {
      deltas.push(delta);
      const index = (changes[at] ?? 0) - 1;
      lines.push(`work-delta\t${at}\t${index}\t${index}`);
    } else {
      snapshots.push(clone(replicas[at] as S));
      lines.push(`work-state\t${send(at)}`);
    }
  }
  const run = (target: S) => {
    if (isDelta) for (const delta of deltas) joinDelta(target, delta);
    else for (const snapshot of snapshots) joinState(target, snapshot);
    return target;
  };
  return {
    what: sizes.what,
    isDelta,
    lines,
    joins: sizes.joins,
    joinAll: () => {
      const target = clone(start);
      const begin = performance.now();
      run(target);
      return performance.now() - begin;
    },
    value: () => value(run(clone(start))),
  };
}

const incarnation = (at: number) => String(at + 1).repeat(32);

function counter(
  pekko: string,
  kind: crdt.CounterKind,
): Joined<crdt.CounterState, crdt.CounterState> {
  return {
    pekko,
    bottom: crdt.emptyCounter,
    clone: crdt.cloneCounter,
    joinState: crdt.joinCounterInto,
    joinDelta: crdt.joinCounterInto,
    operate: (state, at, random) => {
      const by = random.int(1, 100) * (kind === 'pn' && random.chance(0.5) ? -1 : 1);
      return [crdt.increment(state, incarnation(at), BigInt(by), kind), String(by)];
    },
    value: (state) => String(crdt.counterSum(state)),
  };
}

/**
 * @param isShared whether replicas change the same elements. Not where Pekko joins deltas: of a
 * removal that takes away only some of an element's dots it makes nothing, and so comes to another
 * value.
 */
function set(elements: number, isShared: boolean): Joined<crdt.OrSetState, crdt.SetPatch> {
  return {
    pekko: 'orset',
    bottom: crdt.emptySet,
    clone: crdt.cloneSet,
    joinState: crdt.joinSetInto,
    joinDelta: crdt.joinPatchIntoSet,
    operate: (state, at, random) => {
      const any = random.int(0, elements / ORIGINS - 1) * ORIGINS;
      const element = `element-${any + (isShared ? random.int(0, ORIGINS - 1) : at)}`;
      const isRemoval = random.chance(0.4) && state.elements.has(element);
      const delta = isRemoval
        ? crdt.removeElement(state, element)
        : crdt.addElement(state, incarnation(at), element);
      const part = { dots: delta.elements.get(element) ?? [], context: delta.context };
      return [new Map([[element, part]]), `${isRemoval ? 'remove' : 'add'}\t${element}`];
    },
    value: (state) => [...state.elements.keys()].sort().join(),
  };
}

const register: Joined<crdt.RegisterState, crdt.RegisterState> = {
  pekko: 'register',
  bottom: crdt.emptyRegister,
  clone: crdt.cloneRegister,
  joinState: crdt.joinRegisterInto,
  joinDelta: crdt.joinRegisterInto,
  operate: (state, at, random) => {
    const hlc = (crdt.readRegister(state)?.hlc ?? 0n) + BigInt(random.int(1, 2));
    const value = random.word(6);
    // Of two writes with one stamp Pekko takes the one of the lower address.
    const replica = `r${ORIGINS - at}`;
    const write = { incarnation: incarnation(at), hlc, replica, value };
    return [crdt.writeRegister(state, write), `${hlc}\t${value}`];
  },
  value: (state) => String(crdt.readRegister(state)?.value),
};

export function joinTraces(seed: number, isShort: boolean): JoinTrace[] {
  const large = isShort ? 1_000 : 10_000;
  const size = (what: string, operations: number, joins: number): Sizes => ({
    what,
    seed,
    operations,
    joins,
  });
  return [
    trace(counter('gcounter', 'g'), true, size('G-Counter', 100, 1_000)),
    trace(counter('gcounter', 'g'), false, size('G-Counter', 100, 1_000)),
    trace(counter('pncounter', 'pn'), true, size('PN-Counter', 100, 1_000)),
    trace(counter('pncounter', 'pn'), false, size('PN-Counter', 100, 1_000)),
    trace(set(20, false), true, size('OR-Set of 20', 60, 1_000)),
    trace(set(20, true), false, size('OR-Set of 20', 60, 1_000)),
    trace(set(large, false), true, size(`OR-Set of ${large}`, large * 2, 2_000)),
    trace(set(large, true), false, size(`OR-Set of ${large}`, large * 2, 24)),
    {
      ...trace(register, false, size('LWW register', 40, 1_000)),
      note: 'Pekko keeps one write and compares its stamp. Ours compares one mark of each of four incarnations: it keeps writes that did not see each other, and all that was seen, so that a reset takes away exactly what it has seen.',
    },
  ];
}
