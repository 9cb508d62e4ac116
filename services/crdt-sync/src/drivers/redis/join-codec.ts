import { hlcToMs } from '@memplane/clock';
import {
  contextOfDelta,
  elementsOfPatch,
  encodeContext,
  encodeCounter,
  encodeFlag,
  encodeMap,
  encodePatch,
  encodeRegister,
  mapWrites,
  type SetDelta,
  sortedClaims,
} from '@memplane/crdt';
import type { Command, Join } from '../../domain/command.ts';
import type { Change, Ref } from '../../domain/port.ts';
import type { CommitVector } from '../../domain/session-token.ts';
import { type CallHeader, CallNames, headerWords, vectorWords, type Word } from './call-codec.ts';
import { placesWord } from './place.ts';
import { stampText } from './redis-records.ts';

/** A join of one name's delta, or of a part of it. */
export interface JoinPiece {
  readonly ref: Ref;
  readonly words: readonly Word[];
  /** What it costs, in elements or operation ids; one at least. */
  readonly weight: number;
}

export interface JoinOptions {
  /** Raises the clock, where that is lower. */
  readonly observed: bigint;
  readonly mustWrite: boolean;
  /** What is all there once these pieces are; not written where one of them is refused. */
  readonly brought: CommitVector;
}

/** The arguments of one call of `join`. */
export function joinWords(
  header: CallHeader,
  pieces: readonly JoinPiece[],
  { observed, mustWrite, brought }: JoinOptions,
): { readonly words: Word[]; readonly names: CallNames } {
  const names = new CallNames();
  const body: Word[] = [];
  for (const { ref, words } of pieces) {
    body.push(names.placeOf(ref.tenant, ref.name), ...words);
  }
  const counts = [mustWrite ? '1' : '0', stampText(observed), String(pieces.length)];
  const vector = vectorWords(brought);
  return { words: [...headerWords(header, names), ...counts, ...body, ...vector], names };
}

/**
 * A join in pieces of at most so many elements, for a large one would hold up everybody else. What
 * a reset has seen comes last, so that what was added again meanwhile is there all the time.
 */
export function piecesOf(command: Command, elements_max: number): JoinPiece[] {
  const { join } = command;
  if (join === undefined) return [];
  const ref: Ref = command;
  const { patch, cleared } = join.set ?? { patch: new Map(), cleared: new Map() };
  if (patch.size <= elements_max) return [pieceOf(ref, join)];
  const entries = [...patch];
  const pieces: JoinPiece[] = [];
  const rest = { counter: undefined, register: undefined };
  for (let at = 0; at < entries.length; at += elements_max) {
    const part = new Map(entries.slice(at, at + elements_max));
    pieces.push(pieceOf(ref, { ...rest, set: { patch: part, cleared: new Map() } }));
  }
  pieces.push(pieceOf(ref, { ...join, set: { patch: new Map(), cleared } }));
  return pieces;
}

/** A change joins what it changed, whatever it says that came of it. */
export function pieceOfChange(change: Change): JoinPiece {
  const { type, ref, delta } = change;
  const join = { counter: undefined, set: undefined, register: undefined };
  if (type === 'set') return pieceOf(ref, { ...join, set: delta });
  if (type === 'register') return pieceOf(ref, { ...join, register: delta });
  if (type === 'flag') return pieceOf(ref, { ...join, flag: delta });
  if (type === 'map') return pieceOf(ref, { ...join, map: delta });
  return pieceOf(ref, { ...join, counter: delta });
}

/** The highest stamp that is to be followed, so that what is written here later wins. */
export function highestStamp(commands: readonly Command[], untilMs: number): bigint {
  let highest = 0n;
  for (const { join } of commands) {
    const stamps = [
      ...(join?.register?.versions ?? []),
      ...(join?.counter?.claims?.values() ?? []),
      ...(join?.map === undefined ? [] : mapWrites(join.map)),
    ];
    for (const { hlc } of stamps) {
      if (hlc > highest && hlcToMs(hlc) <= untilMs) highest = hlc;
    }
  }
  return highest;
}

function pieceOf(ref: Ref, { counter, set, register, flag, map }: Join): JoinPiece {
  const claims = sortedClaims(counter?.claims ?? new Map());
  const used = claims.flatMap(([opId, { by, hlc, incarnation, seq, commit }]) => [
    opId,
    String(by),
    stampText(hlc),
    incarnation,
    String(seq),
    String(commit),
  ]);
  const words = [
    counter === undefined ? '' : Buffer.from(encodeCounter(counter)),
    register === undefined ? '' : Buffer.from(encodeRegister(register)),
    flag === undefined ? '' : Buffer.from(encodeFlag(flag)),
    map === undefined ? '' : Buffer.from(encodeMap(map)),
    ...setWords(set),
    String(claims.length),
    ...used,
  ];
  return { ref, words, weight: Math.max(1, (set?.patch.size ?? 0) + claims.length) };
}

/** The patch, where its elements are, what a reset has seen, and all that either has. */
function setWords(set: SetDelta | undefined): Word[] {
  if (set === undefined) return ['', '', '', ''];
  const { patch, cleared } = set;
  return [
    patch.size === 0 ? '' : Buffer.from(encodePatch(patch)),
    placesWord(elementsOfPatch(patch)),
    cleared.size === 0 ? '' : Buffer.from(encodeContext(cleared)),
    Buffer.from(encodeContext(contextOfDelta(set))),
  ];
}
