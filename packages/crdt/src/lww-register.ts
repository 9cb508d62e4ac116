import { addDot, contextOf, dotsOf, subtractContext } from './context.ts';
import { compareDots, compareText, type Incarnation } from './dot.ts';
import { MarkChain } from './mark-chain.ts';
import { joinRegisterInto } from './register-joins.ts';
import {
  type Json,
  lastSeen,
  RegisterState,
  type RegisterVersion,
  registerOf,
} from './register-state.ts';

export { joinRegisterInto } from './register-joins.ts';
export { type Json, RegisterState, type RegisterVersion, registerOf } from './register-state.ts';

/*
 * A last-writer-wins register with reset. The last writer is the one with the highest hybrid
 * logical stamp, then replica id. Writes that did not see each other are all kept until a later
 * write or reset that has seen them: to drop a loser at once would make the outcome depend on the
 * order of joins when a reset has seen only the winner.
 */

export interface RegisterWrite {
  readonly incarnation: Incarnation;
  readonly hlc: bigint;
  readonly replica: string;
  readonly value: Json;
}

export function emptyRegister(): RegisterState {
  return new RegisterState([], MarkChain.of([]));
}

export function cloneRegister(state: RegisterState): RegisterState {
  const { incarnations, marks, loose } = state;
  return new RegisterState(incarnations, marks.clone(), loose);
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
  const dot = { incarnation, seq: lastSeen(state, incarnation) + 1 };
  const version = { dot, hlc, replica, value };
  const context = contextOf([version.dot]);
  for (const seen of state.versions) {
    if (compareVersions(seen, version) < 0) addDot(context, seen.dot);
  }
  return registerOf([version], context);
}

/** The delta of a reset: the versions that were seen. */
export function resetRegister(state: RegisterState): RegisterState {
  return registerOf([], contextOf(state.versions.map((version) => version.dot)));
}

export function joinRegisters(a: RegisterState, b: RegisterState): RegisterState {
  const joined = cloneRegister(a);
  joinRegisterInto(joined, b);
  return joined;
}

/** The irredundant join decomposition: one part a dot, with its version where it stands. */
export function* decomposeRegister(state: RegisterState): Generator<RegisterState> {
  for (const version of state.versions) {
    yield registerOf([version], contextOf([version.dot]));
  }
  const standing = contextOf(state.versions.map((version) => version.dot));
  for (const dot of dotsOf(subtractContext(state.context, standing))) {
    yield registerOf([], contextOf([dot]));
  }
}

function compareVersions(a: RegisterVersion, b: RegisterVersion): number {
  if (a.hlc !== b.hlc) return a.hlc < b.hlc ? -1 : 1;
  return compareText(a.replica, b.replica) || compareDots(a.dot, b.dot);
}
