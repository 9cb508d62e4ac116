import {
  containsDot,
  contextOf,
  type Dot,
  hasDot,
  PIECE_DEPTH_MAX,
  type PieceExchange,
  type PieceSummary,
  type SetPatch,
} from '@memplane/crdt';
import { GIVEN_ELEMENTS_MAX } from './piece-messages.ts';

/** Elements below a prefix that are given without looking further, where some of them differ. */
const PIECE_ELEMENTS = 32;
/** Where the other has so many times more, most of it is missing here. */
const MISSING_RATIO = 2;

export interface DifferingPrefix {
  readonly prefix: string;
  /** Elements at the other replica. */
  readonly count: number;
  /** Elements here. */
  readonly held: number;
}

/** What one level of a comparison comes to. */
export interface PieceDifferences {
  /** Differ, and have too much below to be fetched. */
  readonly ask: readonly string[];
  readonly fetch: readonly DifferingPrefix[];
}

/** Compares the digests of the same prefixes here and there. */
export function differingPieces(
  mine: readonly PieceSummary[],
  theirs: readonly PieceSummary[],
): PieceDifferences {
  const here = new Map(mine.map(({ prefix, children }) => [prefix, children]));
  const ask: string[] = [];
  const fetch: DifferingPrefix[] = [];
  for (const { prefix, children } of theirs) {
    const own = here.get(prefix) ?? new Map();
    for (const digit of new Set([...own.keys(), ...children.keys()])) {
      const [a, b] = [own.get(digit), children.get(digit)];
      if (a?.count === b?.count && a?.digest === b?.digest) continue;
      const [held, count] = [a?.count ?? 0, b?.count ?? 0];
      const isMissing = held * MISSING_RATIO < count && count <= GIVEN_ELEMENTS_MAX;
      const isSmall = Math.max(held, count) <= PIECE_ELEMENTS;
      const isLast = prefix.length + 1 >= PIECE_DEPTH_MAX;
      if (isMissing || isSmall || isLast) fetch.push({ prefix: prefix + digit, count, held });
      else ask.push(prefix + digit);
    }
  }
  return { ask, fetch };
}

/** Puts prefixes together that are to be fetched at once. */
export function* groupsOf(
  prefixes: readonly DifferingPrefix[],
  prefixes_max: number,
): Generator<DifferingPrefix[]> {
  let group: DifferingPrefix[] = [];
  let elements = 0;
  for (const one of prefixes) {
    const { count } = one;
    if (group.length >= prefixes_max || (elements + count > GIVEN_ELEMENTS_MAX && elements > 0)) {
      yield group;
      group = [];
      elements = 0;
    }
    group.push(one);
    elements += count;
  }
  if (group.length > 0) yield group;
}

/**
 * What another replica's pieces say of the elements here: which dots stand there, and which of those
 * here it has seen and does not have any more. Of its context nothing else is taken: that knows dots
 * of pieces that were not fetched, which would count as removed.
 */
export function patchOfPieces(theirs: PieceExchange, mine: PieceExchange): SetPatch {
  const patch: SetPatch = new Map();
  for (const [prefix, elements] of theirs.pieces) {
    const own: ReadonlyMap<string, readonly Dot[]> = mine.pieces.get(prefix) ?? new Map();
    for (const element of new Set([...own.keys(), ...elements.keys()])) {
      const dots = elements.get(element) ?? [];
      const held = own.get(element) ?? [];
      const gone = held.filter((dot) => containsDot(theirs.context, dot) && !hasDot(dots, dot));
      const news = dots.some((dot) => !hasDot(held, dot));
      if (gone.length === 0 && !news) continue;
      patch.set(element, { dots, context: contextOf([...dots, ...gone]) });
    }
  }
  return patch;
}
