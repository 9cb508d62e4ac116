import type { Seeded } from '@memplane/testkit';
import { contextOf } from '../context.ts';
import * as counter from '../counter.ts';
import type { Dot, Incarnation } from '../dot.ts';
import { leavesOf } from '../dot-store.ts';
import { type KeyedState, keyedLattice } from '../keyed.ts';
import * as register from '../lww-register.ts';
import * as map from '../or-map.ts';
import * as orSet from '../or-set.ts';
import * as flag from '../quorum-flag.ts';

/** Who does an operation, with which stamp. */
export interface Actor {
  readonly replica: string;
  readonly incarnation: Incarnation;
  readonly hlc: bigint;
}

/** The counter in which each operation leaves its number, so that a state says what it has. */
export const OPERATIONS = 'operations';
export const ELEMENTS = 6;

/** The delta of a random operation, with its number in {@link OPERATIONS}. */
export function randomOperation(state: KeyedState, actor: Actor, random: Seeded): KeyedState {
  const delta = keyedLattice.bottom();
  const numbers = state.counters.get(OPERATIONS) ?? counter.emptyCounter();
  delta.counters.set(OPERATIONS, counter.increment(numbers, actor.incarnation, 1n, 'pn'));
  const kind = random.int(0, 9);
  if (kind <= 4) operateOnSet(delta, state, actor, random);
  else if (kind === 5) operateOnCounter(delta, state, actor, random);
  else if (kind === 6) operateOnRegister(delta, state, actor, random);
  else if (kind <= 8) operateOnMap(delta, state, actor, random);
  else {
    const version = random.int(1, 3);
    const isLast = random.chance(0.1);
    const vote = isLast ? flag.retireVotes(version) : flag.castVote(version, actor.replica);
    delta.flags.set('f', vote);
  }
  return delta;
}

function operateOnSet(delta: KeyedState, state: KeyedState, actor: Actor, random: Seeded): void {
  const name = random.chance(0.8) ? 's' : 't';
  const set = state.sets.get(name) ?? orSet.emptySet();
  const element = `e${random.int(1, ELEMENTS)}`;
  const choice = random.next();
  if (choice < 0.55) delta.sets.set(name, orSet.addElement(set, actor.incarnation, element));
  else if (choice < 0.95) delta.sets.set(name, orSet.removeElement(set, element));
  else delta.sets.set(name, orSet.resetSet(set));
}

function operateOnCounter(
  delta: KeyedState,
  state: KeyedState,
  actor: Actor,
  random: Seeded,
): void {
  const mine = state.counters.get('c') ?? counter.emptyCounter();
  const by = BigInt(random.int(-5, 20));
  const isReset = random.chance(0.1);
  delta.counters.set(
    'c',
    isReset ? counter.resetCounter(mine) : counter.increment(mine, actor.incarnation, by),
  );
}

function operateOnRegister(
  delta: KeyedState,
  state: KeyedState,
  actor: Actor,
  random: Seeded,
): void {
  const mine = state.registers.get('r') ?? register.emptyRegister();
  const { incarnation, hlc, replica } = actor;
  const isReset = random.chance(0.15);
  const value = random.int(0, 1000);
  delta.registers.set(
    'r',
    isReset
      ? register.resetRegister(mine)
      : register.writeRegister(mine, { incarnation, hlc, replica, value }),
  );
}

function operateOnMap(delta: KeyedState, state: KeyedState, actor: Actor, random: Seeded): void {
  const mine = state.maps.get('m') ?? map.emptyMap();
  const path = random.chance(0.5) ? ['x'] : ['in', 'y'];
  const { incarnation, hlc, replica } = actor;
  const element = `e${random.int(1, 3)}`;
  const changes = [
    () => map.incrementField(mine, path, incarnation, BigInt(random.int(-5, 9))),
    () => map.addToField(mine, path, incarnation, element),
    () => map.removeFromField(mine, path, element),
    () => map.writeField(mine, path, incarnation, { hlc, replica, value: random.int(0, 99) }),
    () => map.removeField(mine, 'map', ['in']),
    () => map.removeField(mine, 'counter', path),
  ];
  delta.maps.set('m', random.pick(changes)());
}

/** An element's dots, replaced by one of the replica's own: what pruning of replicas comes to. */
export function rewriteElement(
  state: KeyedState,
  actor: Actor,
  element: string,
): KeyedState | undefined {
  const set = state.sets.get('s');
  if (set?.elements.has(element) !== true) return undefined;
  const delta = keyedLattice.bottom();
  const numbers = state.counters.get(OPERATIONS) ?? counter.emptyCounter();
  delta.counters.set(OPERATIONS, counter.increment(numbers, actor.incarnation, 1n, 'pn'));
  delta.sets.set('s', orSet.addElement(set, actor.incarnation, element));
  return delta;
}

/** The dots that a delta issues, each with the name of the value that it is in. */
export function issuedDots(delta: KeyedState): { name: string; dot: Dot }[] {
  const issued: { name: string; dot: Dot }[] = [];
  for (const [name, { elements }] of delta.sets) {
    for (const dots of elements.values()) for (const dot of dots) issued.push({ name, dot });
  }
  for (const [name, { versions }] of delta.registers) {
    for (const { dot } of versions) issued.push({ name, dot });
  }
  for (const [name, { root }] of delta.maps) {
    for (const [, { items }] of leavesOf(root))
      for (const { dot } of items) issued.push({ name, dot });
  }
  const numbers = delta.counters.get(OPERATIONS);
  for (const [incarnation, { seq }] of numbers?.entries ?? []) {
    issued.push({ name: OPERATIONS, dot: { incarnation, seq } });
  }
  return issued;
}

/** The context of a set cut down to what stands, but for what one incarnation has issued. */
export function withoutRemoved(set: orSet.OrSetState, own: Incarnation): orSet.OrSetState {
  const standing = contextOf([...set.elements.values()].flat());
  const mine = set.context.get(own);
  if (mine !== undefined) standing.set(own, [...mine]);
  return { elements: set.elements, context: standing };
}
