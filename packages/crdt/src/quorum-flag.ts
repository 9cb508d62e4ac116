import { MemplaneError } from '@memplane/contracts';

/**
 * Who may vote, and the version of that set. Versions begin at 1, and one version means one set
 * everywhere: it comes from the versioned record of the replica set, never from gossip.
 */
export interface VoterSet {
  readonly version: number;
  readonly voters: ReadonlySet<string>;
}

/**
 * A flag that is up once a majority of a voter set has voted. A vote names the version of the set
 * that its voter knew and counts in that version only, and votes only grow, so:
 *
 * - under one version the flag goes up once and stays up, on every replica;
 * - a change of the set starts a new version without votes: the flag is down there until a majority
 *   of the new set has voted. No vote is carried over, since a majority of one set need not meet a
 *   majority of another;
 * - a vote by somebody who is not in the set is kept, and counts nowhere.
 *
 * `floor` is the lowest version whose votes are kept. It only grows as well, so votes of versions
 * that nobody reads any more can be dropped, and do not come back.
 */
export interface FlagState {
  floor: number;
  readonly votes: Map<number, Set<string>>;
}

export interface FlagReading {
  readonly isUp: boolean;
  readonly votes: number;
  /** Votes that bring it up. */
  readonly majority: number;
  /** The votes of this version were dropped: `isUp` is false, whatever it was. */
  readonly isRetired: boolean;
}

/** Of a voter's id, in UTF-8. */
export const VOTER_BYTES_MAX = 128;

export function emptyFlag(): FlagState {
  return { floor: 0, votes: new Map() };
}

export function cloneFlag(state: FlagState): FlagState {
  const votes = new Map([...state.votes].map(([version, voters]) => [version, new Set(voters)]));
  return { floor: state.floor, votes };
}

export function readFlag(state: FlagState, set: VoterSet): FlagReading {
  let votes = 0;
  for (const voter of state.votes.get(set.version) ?? []) if (set.voters.has(voter)) votes++;
  const majority = Math.floor(set.voters.size / 2) + 1;
  return { isUp: votes >= majority, votes, majority, isRetired: set.version < state.floor };
}

/**
 * The delta of a vote.
 * @throws MemplaneError `invalid_request` for a voter or version that can't be.
 */
export function castVote(version: number, voter: string): FlagState {
  checkVersion(version);
  if (!isVoter(voter)) {
    throw new MemplaneError('invalid_request', `A voter is 1 to ${VOTER_BYTES_MAX} bytes.`);
  }
  return { floor: 0, votes: new Map([[version, new Set([voter])]]) };
}

/**
 * The delta that drops the votes of all versions below one.
 * @throws MemplaneError `invalid_request` for a version that can't be.
 */
export function retireVotes(below: number): FlagState {
  checkVersion(below);
  return { floor: below, votes: new Map() };
}

/** Joins `source` into `target` in place. Returns whether `target` grew. */
export function joinFlagInto(target: FlagState, source: FlagState): boolean {
  let grew = false;
  if (source.floor > target.floor) {
    target.floor = source.floor;
    for (const version of target.votes.keys()) {
      if (version < target.floor) target.votes.delete(version);
    }
    grew = true;
  }
  for (const [version, voters] of source.votes) {
    if (version < target.floor) continue;
    const mine = target.votes.get(version) ?? new Set();
    const before = mine.size;
    for (const voter of voters) mine.add(voter);
    target.votes.set(version, mine);
    if (mine.size > before) grew = true;
  }
  return grew;
}

/** The irredundant join decomposition: the floor, and one part a vote. */
export function* decomposeFlag(state: FlagState): Generator<FlagState> {
  if (state.floor > 0) yield { floor: state.floor, votes: new Map() };
  for (const [version, voters] of state.votes) {
    for (const voter of voters) yield { floor: 0, votes: new Map([[version, new Set([voter])]]) };
  }
}

/** Δ(a, b). */
export function flagDifference(a: FlagState, b: FlagState): FlagState {
  const votes = new Map<number, Set<string>>();
  for (const [version, voters] of a.votes) {
    if (version < b.floor) continue;
    const known = b.votes.get(version);
    const missing = [...voters].filter((voter) => known?.has(voter) !== true);
    if (missing.length > 0) votes.set(version, new Set(missing));
  }
  return { floor: a.floor > b.floor ? a.floor : 0, votes };
}

export function isVoter(voter: string): boolean {
  return voter.length > 0 && Buffer.byteLength(voter) <= VOTER_BYTES_MAX;
}

function checkVersion(version: number): void {
  if (Number.isSafeInteger(version) && version >= 1) return;
  throw new MemplaneError('invalid_request', 'A version of a voter set is a whole number from 1.');
}
