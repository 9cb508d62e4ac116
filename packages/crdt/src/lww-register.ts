import {
  addDot,
  type CausalContext,
  cloneContext,
  containsDot,
  contextOf,
  dotsOf,
  joinContextInto,
  nextDot,
  type ReadonlyContext,
  subtractContext,
} from './context.ts';
import { compareDots, compareText, type Dot, hasDot, type Incarnation } from './dot.ts';

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

/**
 * A last-writer-wins register with reset. The last writer is the one with the highest hybrid
 * logical stamp, then replica id. Writes that did not see each other are all kept until a later
 * write or reset that has seen them: to drop a loser at once would make the outcome depend on the
 * order of joins when a reset has seen only the winner. At most one version an incarnation.
 */
export interface RegisterState {
  /** In canonical order of their dots. */
  versions: readonly RegisterVersion[];
  readonly context: CausalContext;
}

export interface RegisterWrite {
  readonly incarnation: Incarnation;
  readonly hlc: bigint;
  readonly replica: string;
  readonly value: Json;
}

export function emptyRegister(): RegisterState {
  return { versions: [], context: new Map() };
}

export function cloneRegister(state: RegisterState): RegisterState {
  return { versions: state.versions, context: cloneContext(state.context) };
}

/** The version that wins, or undefined where nothing is written. */
export function readRegister(state: RegisterState): RegisterVersion | undefined {
  let best: RegisterVersion | undefined;
  for (const version of state.versions) {
    if (best === undefined || compareVersions(version, best) > 0) best = version;
  }
  return best;
}

/**
 * The delta of a write. It takes the place of the versions that it beats and of all of its own
 * incarnation's; a version with a higher stamp stays, and goes on winning.
 */
export function writeRegister(state: RegisterState, write: RegisterWrite): RegisterState {
  const { incarnation, hlc, replica, value } = write;
  const version = { dot: nextDot(state.context, incarnation), hlc, replica, value };
  const context = contextOf([version.dot]);
  for (const seen of state.versions) {
    if (compareVersions(seen, version) < 0) addDot(context, seen.dot);
  }
  return { versions: [version], context };
}

/** The delta of a reset: the versions that were seen. */
export function resetRegister(state: RegisterState): RegisterState {
  return { versions: [], context: contextOf(state.versions.map((version) => version.dot)) };
}

/** Joins `source` into `target` in place. Returns whether `target` grew. */
export function joinRegisterInto(target: RegisterState, source: RegisterState): boolean {
  const theirs = source.versions.map(({ dot }) => dot);
  const changed =
    hasBeyond(theirs, target.context) || hasOvertaken(target.versions, theirs, source.context);
  if (changed) {
    const kept = target.versions.filter(
      ({ dot }) => hasDot(theirs, dot) || !containsDot(source.context, dot),
    );
    const fresh = source.versions.filter(({ dot }) => !containsDot(target.context, dot));
    const joined = [...kept, ...fresh];
    if (joined.length > 1) joined.sort((a, b) => compareDots(a.dot, b.dot));
    target.versions = joined;
  }
  return joinContextInto(target.context, source.context) || changed;
}

/** Whether one of these dots was never seen. */
function hasBeyond(dots: readonly Dot[], seen: ReadonlyContext): boolean {
  for (const dot of dots) if (!containsDot(seen, dot)) return true;
  return false;
}

/** Whether one of these versions was seen elsewhere and does not stand there any more. */
function hasOvertaken(
  versions: readonly RegisterVersion[],
  standing: readonly Dot[],
  seen: ReadonlyContext,
): boolean {
  for (const { dot } of versions) if (!hasDot(standing, dot) && containsDot(seen, dot)) return true;
  return false;
}

export function joinRegisters(a: RegisterState, b: RegisterState): RegisterState {
  const joined = cloneRegister(a);
  joinRegisterInto(joined, b);
  return joined;
}

/** The irredundant join decomposition: one part a dot, with its version where it stands. */
export function* decomposeRegister(state: RegisterState): Generator<RegisterState> {
  for (const version of state.versions) {
    yield { versions: [version], context: contextOf([version.dot]) };
  }
  const standing = contextOf(state.versions.map((version) => version.dot));
  for (const dot of dotsOf(subtractContext(state.context, standing))) {
    yield { versions: [], context: contextOf([dot]) };
  }
}

function compareVersions(a: RegisterVersion, b: RegisterVersion): number {
  if (a.hlc !== b.hlc) return a.hlc < b.hlc ? -1 : 1;
  return compareText(a.replica, b.replica) || compareDots(a.dot, b.dot);
}
