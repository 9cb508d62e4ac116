import { type CausalContext, containsDot, type ReadonlyContext } from './context.ts';
import { compareText, type Dot, type Incarnation } from './dot.ts';
import { MarkChain } from './mark-chain.ts';
import { LAST_MAX, lastOf, type Mark, markOf } from './register-mark.ts';

/** Any JSON value. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [k: string]: Json };

/** One write of a register. */
export interface RegisterVersion {
  readonly dot: Dot;
  /** The write's hybrid logical stamp. */
  readonly hlc: bigint;
  readonly replica: string;
  readonly value: Json;
}

/** Any versions, in canonical order of their dots, under any context. */
export interface LooseRegister {
  readonly versions: readonly RegisterVersion[];
  readonly context: CausalContext;
}

/**
 * What is known of a register. An incarnation's later write takes the place of its earlier ones, so
 * a state without gaps has to know two things of each incarnation: its last write, and whether that
 * still stands. That is its {@link Mark}, so states that know of the same incarnations, as nearly
 * all that meet do, are joined by comparing numbers.
 *
 * What has gaps, as deltas have, or versions that a clock which went back left standing, is
 * {@link loose}: versions and a causal context. One state has exactly one of the two forms.
 */
export class RegisterState {
  /** In canonical order; shared between states, and never changed in place. */
  incarnations: readonly Incarnation[];
  /** One for each incarnation. */
  marks: MarkChain;
  /** In place of all others. */
  loose: LooseRegister | undefined;

  constructor(incarnations: readonly Incarnation[], marks: MarkChain, loose?: LooseRegister) {
    this.incarnations = incarnations;
    this.marks = marks;
    this.loose = loose;
  }

  /** In canonical order of their dots. */
  get versions(): readonly RegisterVersion[] {
    return this.loose?.versions ?? [...this.marks].flatMap(({ standing }) => standing ?? []);
  }

  /** All dots that the state has seen. */
  get context(): ReadonlyContext {
    if (this.loose !== undefined) return this.loose.context;
    return new Map(this.incarnations.map((it, i) => [it, [1, lastOf(this.marks.at(i))]]));
  }

  /** Whether there is a write, or the trace of one. */
  get isEmpty(): boolean {
    return this.incarnations.length === 0 && this.loose === undefined;
  }
}

/** The state of these versions, in canonical order of their dots, under this context. */
export function registerOf(
  versions: readonly RegisterVersion[],
  context: CausalContext,
): RegisterState {
  const state = new RegisterState([], MarkChain.of([]));
  setRegister(state, { versions, context });
  return state;
}

/** Makes this of a state, in the form that it has to have. */
export function setRegister(state: RegisterState, loose: LooseRegister): void {
  const { versions, context } = loose;
  const incarnations = [...context.keys()].sort(compareText);
  const marks: Mark[] = [];
  let next = 0;
  for (const incarnation of incarnations) {
    const [from, last = 0, ...gaps] = context.get(incarnation) ?? [];
    if (from !== 1 || gaps.length > 0 || last > LAST_MAX) break;
    const version = versions[next];
    const isStanding = version?.dot.incarnation === incarnation && version.dot.seq === last;
    if (isStanding) next++;
    marks.push(markOf(last, isStanding ? version : undefined));
  }
  const isWhole = marks.length === incarnations.length && next === versions.length;
  state.incarnations = isWhole ? incarnations : [];
  state.marks = MarkChain.of(isWhole ? marks : []);
  state.loose = isWhole ? undefined : loose;
}

/** Where an incarnation is, or would have to be, as `~index`. */
export function findIncarnation(all: readonly Incarnation[], incarnation: Incarnation): number {
  let low = 0;
  let high = all.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const order = compareText(all[middle] ?? '', incarnation);
    if (order === 0) return middle;
    if (order < 0) low = middle + 1;
    else high = middle - 1;
  }
  return ~low;
}

/** The last write that was seen of an incarnation, 0 for none. */
export function lastSeen(state: RegisterState, incarnation: Incarnation): number {
  if (state.loose !== undefined) return state.loose.context.get(incarnation)?.at(-1) ?? 0;
  const index = findIncarnation(state.incarnations, incarnation);
  return index < 0 ? 0 : lastOf(state.marks.at(index));
}

export function hasSeen(state: RegisterState, dot: Dot): boolean {
  if (state.loose !== undefined) return containsDot(state.loose.context, dot);
  return dot.seq >= 1 && dot.seq <= lastSeen(state, dot.incarnation);
}
