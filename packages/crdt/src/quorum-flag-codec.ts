import { encode } from 'cborg';
import { type DecodeLimits, expectSameBytes, openBounded } from './bounded-cbor.ts';
import { recordDigest } from './codec.ts';
import { compareText } from './dot.ts';
import { CRDT_FORMAT_VERSION, damaged, int, list, text } from './forms.ts';
import { type FlagState, isVoter } from './quorum-flag.ts';

const FLAG = 8;

export function encodeFlag(state: FlagState): Uint8Array {
  const votes = [...state.votes]
    .sort((a, b) => a[0] - b[0])
    .map(([version, voters]) => [version, [...voters].sort(compareText)]);
  return encode([CRDT_FORMAT_VERSION, FLAG, state.floor, votes]);
}

/** @throws MemplaneError `storage_damaged`, `body_too_large`, `too_deep` */
export function decodeFlag(bytes: Uint8Array, limits?: DecodeLimits): FlagState {
  const [floorForm, votesForm] = openBounded(bytes, FLAG, limits);
  const floor = int(floorForm);
  if (floor < 0) throw damaged('a version below zero');
  const votes = new Map<number, Set<string>>();
  for (const entry of list(votesForm)) {
    const [versionForm, voters] = list(entry);
    const version = int(versionForm);
    if (version < Math.max(floor, 1)) throw damaged('votes of a version that was dropped');
    votes.set(version, new Set(list(voters).map(voterOf)));
    if (votes.get(version)?.size === 0) throw damaged('a version without votes');
  }
  const state = { floor, votes };
  expectSameBytes(bytes, encodeFlag(state));
  return state;
}

export function flagDigest(state: FlagState): bigint {
  return recordDigest(encodeFlag(state));
}

function voterOf(value: unknown): string {
  const voter = text(value);
  if (!isVoter(voter)) throw damaged('a voter');
  return voter;
}
