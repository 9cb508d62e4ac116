import { addDigests, encodeElement, recordDigest } from './codec.ts';
import {
  elementHash,
  elementsBelow,
  nodeFor,
  PIECE_DEPTH_MAX,
  type PieceTree,
} from './piece-tree.ts';

/** How many elements are below a prefix, and the sum of their digests. */
export interface PieceDigest {
  readonly count: number;
  readonly digest: bigint;
}

/** What a replica tells of a prefix: of each next digit, but of those with nothing below. */
export interface PieceSummary {
  readonly prefix: string;
  readonly children: ReadonlyMap<string, PieceDigest>;
}

/** What one level of a comparison found. */
export interface LevelResult {
  /** To be asked of the other replica next. */
  readonly ask: string[];
  /** Differ, and are at most a piece on both sides: to be exchanged. */
  readonly differing: string[];
}

/** What a replica answers when it is asked for prefixes: at most 16 digests for each. */
export function summarize(tree: PieceTree, prefixes: Iterable<string>): PieceSummary[] {
  return Array.from(prefixes, (prefix) => ({ prefix, children: childDigests(tree, prefix) }));
}

/**
 * Compares another replica's summaries with what is here. Both sides hold the same hash function,
 * and digests of a prefix do not depend on how it is split, so trees of different shapes compare.
 * Each level asks only below prefixes that differ: O(differences · depth) digests in all, after
 * R. Merkle, "A Digital Signature Based on a Conventional Encryption Function" (1987).
 */
export function compareLevel(tree: PieceTree, theirs: Iterable<PieceSummary>): LevelResult {
  const result: LevelResult = { ask: [], differing: [] };
  for (const { prefix, children } of theirs) {
    const mine = childDigests(tree, prefix);
    for (const digit of new Set([...mine.keys(), ...children.keys()])) {
      const here = mine.get(digit);
      const there = children.get(digit);
      if (here?.count === there?.count && here?.digest === there?.digest) continue;
      const most = Math.max(here?.count ?? 0, there?.count ?? 0);
      const isPiece = most <= tree.piece_elements_max || prefix.length + 1 >= PIECE_DEPTH_MAX;
      (isPiece ? result.differing : result.ask).push(prefix + digit);
    }
  }
  return result;
}

/** Prefixes to begin a comparison with; none are left when the roots are equal. */
export function beginComparison(tree: PieceTree, theirRoot: PieceDigest): LevelResult {
  const { count, digest } = tree.root;
  if (count === theirRoot.count && digest === theirRoot.digest) return { ask: [], differing: [] };
  const isPiece = Math.max(count, theirRoot.count) <= tree.piece_elements_max;
  return isPiece ? { ask: [], differing: [''] } : { ask: [''], differing: [] };
}

export interface Comparison {
  /** Prefixes below which the two differ, each at most a piece on both sides. */
  readonly differing: readonly string[];
  /** Digests that one side had to send. */
  readonly digests: number;
  readonly rounds: number;
}

/** The whole exchange between two trees at hand, level by level. */
export function comparePieces(a: PieceTree, b: PieceTree): Comparison {
  let { ask, differing } = beginComparison(a, b.root);
  let digests = 1;
  let rounds = 1;
  while (ask.length > 0) {
    const answer = summarize(b, ask);
    for (const { children } of answer) digests += children.size;
    rounds++;
    const level = compareLevel(a, answer);
    ask = level.ask;
    differing = [...differing, ...level.differing];
  }
  return { differing: differing.sort(), digests, rounds };
}

function childDigests(tree: PieceTree, prefix: string): Map<string, PieceDigest> {
  const node = nodeFor(tree, prefix);
  const digests = new Map<string, PieceDigest>();
  if (node?.children !== undefined) {
    for (const [digit, { count, digest }] of node.children) digests.set(digit, { count, digest });
    return digests;
  }
  // Below a piece: its few elements are looked at one by one.
  for (const [element, dots] of elementsBelow(tree, prefix)) {
    const digit = elementHash(element).charAt(prefix.length);
    const { count, digest } = digests.get(digit) ?? { count: 0, digest: 0n };
    const added = addDigests(digest, recordDigest(encodeElement(element, dots)));
    digests.set(digit, { count: count + 1, digest: added });
  }
  return digests;
}
