import { hash } from 'node:crypto';
import { addDigests, encodeElement, recordDigest, subtractDigests } from './codec.ts';
import type { Dot } from './dot.ts';

/**
 * The elements of a large set in pieces, each small enough to be stored, sent and compared by
 * itself: a radix tree over the elements' hashes, 16 ways a level. Which pieces there are follows
 * from the elements alone: what is below a prefix is one piece if it is at most
 * {@link PieceTree.piece_elements_max} elements, and else it is split, so a piece splits as it
 * grows, pieces merge as they shrink, and equal sets have equal pieces (given one bound), however
 * they came about.
 *
 * A digest is the sum of its elements' (see `recordDigest`), so a prefix's digest does not depend on
 * how it is split, and replicas with different pieces can compare. The tree is changed in place.
 */
export interface PieceTree {
  readonly piece_elements_max: number;
  root: PieceNode;
}

/** What is below a prefix of the hash, in hex digits; `''` is everything. */
export interface PieceNode {
  readonly prefix: string;
  count: number;
  digest: bigint;
  /** Where this is a piece. */
  elements: Map<string, readonly Dot[]> | undefined;
  /** Where it is split: by the next digit; none is empty. */
  children: Map<string, PieceNode> | undefined;
}

/** Which pieces a change wrote, and which are no more (split, merged or emptied). */
export interface PieceChange {
  readonly written: Set<string>;
  readonly dropped: Set<string>;
}

export const PIECE_ELEMENTS_MAX = 256;
export const HEX_DIGITS = '0123456789abcdef';
/** Hex digits of an element's hash; a piece at this depth is never split. */
export const PIECE_DEPTH_MAX = 32;

export function emptyTree(piece_elements_max = PIECE_ELEMENTS_MAX): PieceTree {
  return { piece_elements_max, root: emptyPiece('') };
}

/** The first 128 bits of the SHA-256 of its UTF-8, in hex digits. */
export function elementHash(element: string): string {
  return hash('sha256', element, 'hex').slice(0, PIECE_DEPTH_MAX);
}

export function noChange(): PieceChange {
  return { written: new Set(), dropped: new Set() };
}

export function dotsAt(tree: PieceTree, element: string): readonly Dot[] {
  const path = elementHash(element);
  let node: PieceNode | undefined = tree.root;
  while (node?.children !== undefined) node = node.children.get(path.charAt(node.prefix.length));
  return node?.elements?.get(element) ?? [];
}

/** Replaces an element's dots (none removes it) and adds the pieces that changed to `change`. */
export function putDots(
  tree: PieceTree,
  element: string,
  dots: readonly Dot[],
  change: PieceChange,
): void {
  const before = dotsAt(tree, element);
  if (before.length === 0 && dots.length === 0) return;
  const count = Number(dots.length > 0) - Number(before.length > 0);
  let digest = dots.length > 0 ? recordDigest(encodeElement(element, dots)) : 0n;
  if (before.length > 0) {
    digest = subtractDigests(digest, recordDigest(encodeElement(element, before)));
  }
  const path = elementHash(element);
  const max = tree.piece_elements_max;
  let node = tree.root;
  for (;;) {
    node.count += count;
    node.digest = addDigests(node.digest, digest);
    if (node.children === undefined) break;
    if (node.count <= max) mergeNode(node, change);
    if (node.children === undefined) break;
    node = childOf(node, path, count, change);
  }
  if (dots.length > 0) node.elements?.set(element, dots);
  else node.elements?.delete(element);
  if (node.count > max && node.prefix.length < PIECE_DEPTH_MAX) splitNode(node, max, change);
  else if (node.count > 0 || node.prefix === '') wrote(change, node.prefix);
}

/** All elements below a prefix, which may be above or below a piece. */
export function* elementsBelow(
  tree: PieceTree,
  prefix: string,
): Generator<[string, readonly Dot[]]> {
  const node = nodeFor(tree, prefix);
  if (node === undefined) return;
  for (const piece of piecesIn(node)) {
    for (const entry of piece.elements ?? []) {
      if (prefix.length <= node.prefix.length || elementHash(entry[0]).startsWith(prefix)) {
        yield entry;
      }
    }
  }
}

/** The pieces below a prefix, in order; the one that holds it where it is below a piece. */
export function piecesBelow(tree: PieceTree, prefix: string): PieceNode[] {
  const node = nodeFor(tree, prefix);
  return node === undefined ? [] : [...piecesIn(node)];
}

/** The node of a prefix, or the piece that it is in; undefined where there is nothing. */
export function nodeFor(tree: PieceTree, prefix: string): PieceNode | undefined {
  let node: PieceNode | undefined = tree.root;
  while (node !== undefined && node.prefix.length < prefix.length) {
    if (node.children === undefined) return node;
    node = node.children.get(prefix.charAt(node.prefix.length));
  }
  return node;
}

function* piecesIn(node: PieceNode): Generator<PieceNode> {
  if (node.children === undefined) {
    yield node;
    return;
  }
  for (const digit of HEX_DIGITS) {
    const child = node.children.get(digit);
    if (child !== undefined) yield* piecesIn(child);
  }
}

/** The next node on the way, made for an element that comes, taken away with one that goes. */
function childOf(node: PieceNode, path: string, count: number, change: PieceChange): PieceNode {
  const digit = path.charAt(node.prefix.length);
  let child = node.children?.get(digit);
  if (child === undefined) {
    child = emptyPiece(node.prefix + digit);
    node.children?.set(digit, child);
  } else if (child.count + count === 0) {
    node.children?.delete(digit);
    dropped(change, child.prefix);
  }
  return child;
}

function splitNode(node: PieceNode, max: number, change: PieceChange): void {
  dropped(change, node.prefix);
  const children = new Map<string, PieceNode>();
  for (const [element, dots] of node.elements ?? []) {
    const digit = elementHash(element).charAt(node.prefix.length);
    let child = children.get(digit);
    if (child === undefined) {
      child = emptyPiece(node.prefix + digit);
      children.set(digit, child);
    }
    child.elements?.set(element, dots);
    child.count++;
    child.digest = addDigests(child.digest, recordDigest(encodeElement(element, dots)));
  }
  node.elements = undefined;
  node.children = children;
  for (const child of children.values()) {
    if (child.count > max && child.prefix.length < PIECE_DEPTH_MAX) splitNode(child, max, change);
    else wrote(change, child.prefix);
  }
}

function mergeNode(node: PieceNode, change: PieceChange): void {
  const elements = new Map<string, readonly Dot[]>();
  for (const piece of piecesIn(node)) {
    for (const [element, dots] of piece.elements ?? []) elements.set(element, dots);
    dropped(change, piece.prefix);
  }
  node.children = undefined;
  node.elements = elements;
}

function emptyPiece(prefix: string): PieceNode {
  return { prefix, count: 0, digest: 0n, elements: new Map(), children: undefined };
}

function wrote(change: PieceChange, prefix: string): void {
  change.dropped.delete(prefix);
  change.written.add(prefix);
}

function dropped(change: PieceChange, prefix: string): void {
  change.written.delete(prefix);
  change.dropped.add(prefix);
}
