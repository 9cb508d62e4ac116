import * as crdt from '@memplane/crdt';
import type { Seeded } from '@memplane/testkit';

/** Who does an operation. */
export interface Actor {
  readonly incarnation: string;
  /** Of two writes with one stamp ours takes the higher id, Pekko the lower address. */
  readonly replica: string;
}

/** An operation: its delta here, and what Pekko is told. */
export interface Operation<S> {
  readonly delta: S;
  readonly words: readonly string[];
  /** Takes away one element, and nothing else. */
  readonly removes?: string;
}

/** A type that both have. */
export interface Kind<S> {
  readonly name: string;
  readonly bottom: () => S;
  readonly clone: (state: S) => S;
  readonly joinInto: (target: S, source: S) => void;
  readonly value: (state: S) => string;
  readonly operate: (state: S, actor: Actor, random: Seeded) => Operation<S>;
  /** Pekko takes a delta only after those that its sender had seen before. */
  readonly takesCausalDeltas?: true;
  /** Pekko has no deltas of it: it is sent the state. */
  readonly hasNoDeltas?: true;
  /** Deltas of it are not compared at all. */
  readonly takesStatesOnly?: true;
  /** Whether Pekko can join this removal as a delta; else it is sent the state. */
  readonly canTake?: (state: S, delta: S, removes: string) => boolean;
  /**
   * The removal of a key. Only between two moments at which all replicas are equal: else a map of
   * Pekko brings back what it removed, together with what was written beside the removal.
   */
  readonly removeKey?: (state: S, random: Seeded) => Operation<S> | undefined;
}

const ELEMENTS = 8;
const KEYS = ['k1', 'k2', 'k3'];

function counter(name: string, kind: crdt.CounterKind, low: number): Kind<crdt.CounterState> {
  return {
    name,
    ...lattice(crdt.counterLattice),
    value: (state) => String(crdt.counterSum(state)),
    operate: (state, { incarnation }, random) => {
      // Of an increment of nothing Pekko makes no delta.
      const by = random.int(low, 20) || 1;
      const delta = crdt.increment(state, incarnation, BigInt(by), kind);
      return { delta, words: [String(by)] };
    },
  };
}

export const gCounter = counter('gcounter', 'g', 0);
/** Pekko's delta has one of the two halves only, so that one must not be passed over. */
export const pnCounter: Kind<crdt.CounterState> = {
  ...counter('pncounter', 'pn', -20),
  takesCausalDeltas: true,
};

export const orSet: Kind<crdt.OrSetState> = {
  name: 'orset',
  ...lattice(crdt.setLattice),
  value: ({ elements }) => sorted(elements.keys()),
  operate: (state, { incarnation }, random) => {
    const element = `e${random.int(1, ELEMENTS)}`;
    const choice = random.next();
    if (choice < 0.03) return { delta: crdt.resetSet(state), words: ['clear'] };
    if (choice < 0.5 && state.elements.has(element)) {
      const delta = crdt.removeElement(state, element);
      return { delta, words: ['remove', element], removes: element };
    }
    return { delta: crdt.addElement(state, incarnation, element), words: ['add', element] };
  },
  takesCausalDeltas: true,
  canTake: (state, { context }, element) =>
    isAllOrNone(crdt.removeElement(state, element).context, context),
};

export const register: Kind<crdt.RegisterState> = {
  name: 'register',
  ...lattice(crdt.registerLattice),
  value: (state) => shown(crdt.readRegister(state)?.value),
  operate: (state, { incarnation, replica }, random) => {
    const hlc = later(crdt.readRegister(state)?.hlc, random);
    const value = random.word(4);
    const delta = crdt.writeRegister(state, { incarnation, hlc, replica, value });
    return { delta, words: [String(hlc), value] };
  },
  hasNoDeltas: true,
};

/** Ours needs a majority: of one voter, as which all vote. */
export const flag: Kind<crdt.FlagState> = {
  name: 'flag',
  ...lattice(crdt.flagLattice),
  value: (state) =>
    crdt.readFlag(state, { version: 1, voters: new Set(['all']) }).isUp ? 'up' : 'down',
  operate: () => ({ delta: crdt.castVote(1, 'all'), words: ['on'] }),
  hasNoDeltas: true,
};

export const counterMap: Kind<crdt.OrMapState> = {
  name: 'countermap',
  ...lattice(crdt.mapLattice),
  value: (state) => fields(state, ([name]) => String(crdt.readCounterField(state, [name]))),
  operate: (state, { incarnation }, random) => {
    const key = random.pick(KEYS);
    const by = random.int(-20, 20) || 1;
    const delta = crdt.incrementField(state, [key], incarnation, BigInt(by));
    return { delta, words: ['add', key, String(by)] };
  },
  takesCausalDeltas: true,
  removeKey: (state, random) => removal(state, 'counter', random),
};

export const registerMap: Kind<crdt.OrMapState> = {
  name: 'registermap',
  ...lattice(crdt.mapLattice),
  value: (state) => fields(state, ([name]) => shown(crdt.readRegisterField(state, [name])?.value)),
  operate: (state, { incarnation, replica }, random) => {
    const key = random.pick(KEYS);
    const hlc = later(crdt.readRegisterField(state, [key])?.hlc, random);
    const value = random.word(4);
    const delta = crdt.writeField(state, [key], incarnation, { hlc, replica, value });
    return { delta, words: ['put', key, String(hlc), value] };
  },
  takesCausalDeltas: true,
  removeKey: (state, random) => removal(state, 'register', random),
};

/**
 * States only, and no removals of keys: Pekko's removal by delta within a map leaves what a state
 * would take away, and the dots of a key that comes again begin at 1, as those before.
 */
export const setMap: Kind<crdt.OrMapState> = {
  name: 'setmap',
  ...lattice(crdt.mapLattice),
  value: (state) => fields(state, ([name]) => sorted(crdt.readSetField(state, [name]), '+')),
  operate: (state, { incarnation }, random) => {
    const key = random.pick(KEYS);
    const element = `e${random.int(1, ELEMENTS)}`;
    const present = crdt.readSetField(state, [key]);
    // With its last element the key would go.
    if (random.chance(0.5) && present.includes(element) && present.length > 1) {
      const delta = crdt.removeFromField(state, [key], element);
      return { delta, words: ['remove', key, element] };
    }
    const delta = crdt.addToField(state, [key], incarnation, element);
    return { delta, words: ['add', key, element] };
  },
  takesStatesOnly: true,
};

function lattice<S>({ bottom, clone, joinInto }: crdt.Lattice<S>) {
  return { bottom, clone, joinInto };
}

function removal(
  state: crdt.OrMapState,
  type: crdt.FieldType,
  random: Seeded,
): Operation<crdt.OrMapState> | undefined {
  const names = crdt.fieldsOf(state, []).map(({ name }) => name);
  if (names.length === 0) return undefined;
  const key = random.pick(names);
  return { delta: crdt.removeField(state, type, [key]), words: ['drop', key] };
}

/** A removal by delta leaves an element as it is in Pekko where it takes only some of its dots. */
function isAllOrNone(standing: crdt.ReadonlyContext, taken: crdt.ReadonlyContext): boolean {
  const left = crdt.subtractContext(standing, taken);
  return left.size === 0 || crdt.sameContext(left, standing);
}

/** Behind what is there, often by one only, so that stamps of several replicas are the same. */
function later(seen: bigint | undefined, random: Seeded): bigint {
  return (seen ?? 0n) + BigInt(random.chance(0.6) ? 1 : random.int(1, 4));
}

function fields(state: crdt.OrMapState, read: (path: readonly [string]) => string): string {
  const names = crdt.fieldsOf(state, []).map(({ name }) => name);
  return sorted(names.map((name) => `${name}=${read([name])}`));
}

function sorted(texts: Iterable<string>, between = ','): string {
  return [...texts].sort().join(between);
}

function shown(value: unknown): string {
  return value === undefined ? '-' : String(value);
}
