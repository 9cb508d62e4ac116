import { addDigests, encodeContext, recordDigest } from './codec.ts';
import {
  type CausalContext,
  cloneContext,
  contextOf,
  joinContextInto,
  nextDot,
  type ReadonlyContext,
  uniteContexts,
} from './context.ts';
import type { Dot, Incarnation } from './dot.ts';
import { joinDots, type OrSetState } from './or-set.ts';
import * as tree from './piece-tree.ts';
import { type ElementState, elementDifference, type SetPatch } from './set-patch.ts';

/**
 * An OR-Set of many elements, kept in pieces. The causal context is one for the whole set, where it
 * stays as small as a version vector: cut by pieces it would be all cloud, since dots follow the
 * order of mutations and pieces follow hashes. Pieces hold nothing but elements with dots, so a
 * removal leaves nothing behind in its piece and still wins over an old add, by the set's context.
 */
export interface PiecedSet {
  readonly tree: tree.PieceTree;
  readonly context: CausalContext;
}

/**
 * Some pieces as a replica sends them: all that it has below the prefixes, and its whole context at
 * that moment. What the context knows of a listed prefix and the piece lacks was removed there; of
 * what is below other prefixes this says nothing.
 */
export interface PieceExchange {
  readonly pieces: ReadonlyMap<string, ReadonlyMap<string, readonly Dot[]>>;
  readonly context: CausalContext;
}

/** What the other replica says before the first comparison of an exchange. */
export interface ExchangeBegin {
  /** Which of its lives says so, by the name of its log. */
  readonly life: Incarnation;
  readonly context: ReadonlyContext;
}

export function emptyPiecedSet(piece_elements_max?: number): PiecedSet {
  return { tree: tree.emptyTree(piece_elements_max), context: new Map() };
}

/** The delta of an add, in place of the element's dots that were seen. */
export function addToPieces(set: PiecedSet, incarnation: Incarnation, element: string): SetPatch {
  const dot = nextDot(set.context, incarnation);
  const context = contextOf([...tree.dotsAt(set.tree, element), dot]);
  return new Map([[element, { dots: [dot], context }]]);
}

/** The delta of a removal; empty when the element is not there. */
export function removeFromPieces(set: PiecedSet, element: string): SetPatch {
  const dots = tree.dotsAt(set.tree, element);
  return new Map(dots.length > 0 ? [[element, { dots: [], context: contextOf(dots) }]] : []);
}

/** Joins a patch in, in place; tells which pieces must be written. O(what the patch touches). */
export function joinPatchInto(set: PiecedSet, patch: SetPatch): tree.PieceChange {
  const change = tree.noChange();
  for (const [element, theirs] of patch) joinElement(set, element, theirs, change);
  const contexts = [...patch.values()].map(({ context }) => context);
  joinContextInto(set.context, uniteContexts(contexts));
  return change;
}

/** Δ(patch, set): what of a received patch is news, to be passed on. O(what the patch touches). */
export function patchNews(patch: SetPatch, set: PiecedSet): SetPatch {
  const news: SetPatch = new Map();
  for (const [element, theirs] of patch) {
    const part = elementDifference(theirs, tree.dotsAt(set.tree, element), set.context);
    if (part.context.size > 0) news.set(element, part);
  }
  return news;
}

/** What to send for prefixes whose digests differ. */
export function exchangeOf(set: PiecedSet, prefixes: Iterable<string>): PieceExchange {
  const pieces = new Map<string, Map<string, readonly Dot[]>>();
  for (const prefix of prefixes) pieces.set(prefix, new Map(tree.elementsBelow(set.tree, prefix)));
  return { pieces, context: cloneContext(set.context) };
}

/**
 * Joins another replica's pieces in, in place. Its context is not taken over: it also has dots of
 * pieces that are not here, which would then count as removed. See {@link finishExchange}.
 */
export function joinExchangeInto(set: PiecedSet, exchange: PieceExchange): tree.PieceChange {
  const change = tree.noChange();
  for (const [prefix, theirs] of exchange.pieces) {
    const { context } = exchange;
    for (const [element] of [...tree.elementsBelow(set.tree, prefix)]) {
      if (!theirs.has(element)) joinElement(set, element, { dots: [], context }, change);
    }
    for (const [element, dots] of theirs) {
      joinElement(set, element, { dots, context }, change);
    }
  }
  // Those that were removed here are in the context already.
  const dots = [...exchange.pieces.values()].flatMap((elements) => [...elements.values()].flat());
  joinContextInto(set.context, contextOf(dots));
  return change;
}

/**
 * Ends an exchange: takes over the context that the other replica had when the comparison began.
 * Only then are removals known whose adds this replica has never seen. Sound once each prefix was
 * found equal or joined in since, by answers of the life that the context is of: whatever of it
 * stands at the other replica stands here. A later life may have lost what this context knows, and
 * lost elements would count as removed, here and then everywhere.
 * @param lives one for each answer
 * @returns false if it has to begin anew, since the other replica started anew meanwhile
 */
export function finishExchange(
  set: PiecedSet,
  begin: ExchangeBegin,
  lives: Iterable<Incarnation>,
): boolean {
  for (const life of lives) if (life !== begin.life) return false;
  joinContextInto(set.context, begin.context);
  return true;
}

/** The same digest as the set's in one piece has. */
export function piecedSetDigest(set: PiecedSet): bigint {
  return addDigests(recordDigest(encodeContext(set.context)), set.tree.root.digest);
}

/** The set in one piece. O(elements). */
export function wholeSet(set: PiecedSet): OrSetState {
  const elements = new Map(tree.elementsBelow(set.tree, ''));
  return { elements, context: cloneContext(set.context) };
}

/** A set, cut into pieces. O(elements). */
export function cutSet(state: OrSetState, piece_elements_max?: number): PiecedSet {
  const set = emptyPiecedSet(piece_elements_max);
  const change = tree.noChange();
  for (const [element, dots] of state.elements) tree.putDots(set.tree, element, dots, change);
  joinContextInto(set.context, state.context);
  return set;
}

function joinElement(
  set: PiecedSet,
  element: string,
  theirs: ElementState,
  change: tree.PieceChange,
): void {
  const mine = tree.dotsAt(set.tree, element);
  const joined = joinDots(mine, set.context, theirs.dots, theirs.context);
  if (joined !== mine) tree.putDots(set.tree, element, joined, change);
}
