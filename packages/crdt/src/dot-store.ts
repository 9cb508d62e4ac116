import { containsDot, type ReadonlyContext } from './context.ts';
import { compareDots, compareText, type Dot, hasDot } from './dot.ts';
import type { Json } from './lww-register.ts';

/** What a register's write holds beside its dot. */
export interface WritePayload {
  readonly hlc: bigint;
  readonly replica: string;
  readonly value: Json;
}

/** A counter's amount, a register's write, or nothing: the presence of a set's element. */
export type Payload = bigint | WritePayload | undefined;

export interface LeafItem {
  readonly dot: Dot;
  readonly payload: Payload;
}

/** The dots that stand at one place, in canonical order, at least one. Never changed in place. */
export interface Leaf {
  readonly items: readonly LeafItem[];
}

/** Places by key; no child is empty. A branch in a state is changed in place by joins only. */
export interface Branch {
  readonly children: Map<string, StoreNode>;
}

/**
 * A tree of dots that stand, all under one causal context: "Delta state replicated data types"
 * (Almeida, Shoker, Baquero, 2018), §7. What empties vanishes, so nothing is left of a removed key
 * but its dots in the context.
 */
export type StoreNode = Leaf | Branch;

export function emptyBranch(): Branch {
  return { children: new Map() };
}

export function isLeaf(node: StoreNode): node is Leaf {
  return 'items' in node;
}

/** A copy of what of a node stands on dots that `keep` wants; undefined when nothing does. */
export function filterNode(node: StoreNode, keep: (dot: Dot) => boolean): StoreNode | undefined {
  if (isLeaf(node)) {
    const items = node.items.filter(({ dot }) => keep(dot));
    if (items.length === node.items.length) return node;
    return items.length === 0 ? undefined : { items };
  }
  const children = new Map<string, StoreNode>();
  for (const [key, child] of node.children) {
    const kept = filterNode(child, keep);
    if (kept !== undefined) children.set(key, kept);
  }
  return children.size === 0 ? undefined : { children };
}

export function cloneBranch(branch: Branch): Branch {
  const children = new Map<string, StoreNode>();
  for (const [key, child] of branch.children) {
    children.set(key, isLeaf(child) ? child : cloneBranch(child));
  }
  return { children };
}

export function* standingDots(node: StoreNode | undefined): Generator<Dot> {
  if (node === undefined) return;
  if (isLeaf(node)) for (const { dot } of node.items) yield dot;
  else for (const child of node.children.values()) yield* standingDots(child);
}

/** The node at the end of a path of keys. */
export function findNode(root: Branch, keys: readonly string[]): StoreNode | undefined {
  let node: StoreNode | undefined = root;
  for (const key of keys) {
    if (node === undefined || isLeaf(node)) return undefined;
    node = node.children.get(key);
  }
  return node;
}

/** A branch with one leaf at the end of a path. */
export function branchTo(keys: readonly string[], leaf: Leaf): Branch {
  const [first = '', ...rest] = keys;
  return { children: new Map([[first, rest.length === 0 ? leaf : branchTo(rest, leaf)]]) };
}

/** Each leaf with its path. */
export function* leavesOf(
  branch: Branch,
  path: readonly string[] = [],
): Generator<[readonly string[], Leaf]> {
  for (const [key, child] of branch.children) {
    if (isLeaf(child)) yield [[...path, key], child];
    else yield* leavesOf(child, [...path, key]);
  }
}

/** The dots that stand in `there` and not at the same place in `here`. */
export function* dotsNotIn(there: StoreNode, here: StoreNode | undefined): Generator<Dot> {
  if (isLeaf(there)) {
    const known = here !== undefined && isLeaf(here) ? here.items.map(({ dot }) => dot) : [];
    for (const { dot } of there.items) if (!hasDot(known, dot)) yield dot;
    return;
  }
  for (const [key, child] of there.children) {
    yield* dotsNotIn(child, here && !isLeaf(here) ? here.children.get(key) : undefined);
  }
}

/**
 * Joins `source` into `target` in place; both contexts as they were before. A dot stands in the
 * result when it stands in both, or in one while the other has never seen it.
 */
export function joinBranchInto(
  target: Branch,
  targetContext: ReadonlyContext,
  source: Branch,
  sourceContext: ReadonlyContext,
): boolean {
  let changed = false;
  const isNew = (dot: Dot) => !containsDot(targetContext, dot);
  for (const [key, mine] of target.children) {
    const theirs = source.children.get(key);
    if (isLeaf(mine)) {
      const kept = keepItems(mine, theirs, sourceContext);
      if (kept === mine) continue;
      changed = true;
      if (kept === undefined) target.children.delete(key);
      else target.children.set(key, kept);
      continue;
    }
    const branch = theirs !== undefined && !isLeaf(theirs) ? theirs : emptyBranch();
    if (joinBranchInto(mine, targetContext, branch, sourceContext)) changed = true;
    if (mine.children.size === 0) target.children.delete(key);
  }
  for (const [key, theirs] of source.children) {
    const mine = target.children.get(key);
    if (mine !== undefined && !isLeaf(mine)) continue;
    const fresh = filterNode(theirs, isNew);
    if (fresh === undefined) continue;
    changed = true;
    const isBoth = mine !== undefined && isLeaf(fresh);
    target.children.set(key, isBoth ? mergeItems(mine, fresh) : copyOf(fresh));
  }
  return changed;
}

/**
 * The same where all dots of the source and its context stand at or below the end of `keys`, if
 * anywhere in the target: the rest of the target is not looked at.
 */
export function joinBranchAt(
  target: Branch,
  targetContext: ReadonlyContext,
  source: Branch,
  sourceContext: ReadonlyContext,
  keys: readonly string[],
): boolean {
  const [key, ...rest] = keys;
  if (key === undefined) return joinBranchInto(target, targetContext, source, sourceContext);
  const mine = target.children.get(key);
  const theirs = source.children.get(key);
  if (mine === undefined || isLeaf(mine) || rest.length === 0) {
    const slice: Branch = { children: new Map(mine === undefined ? [] : [[key, mine]]) };
    const changed = joinBranchInto(slice, targetContext, source, sourceContext);
    const joined = slice.children.get(key);
    if (joined === undefined) target.children.delete(key);
    else target.children.set(key, joined);
    return changed;
  }
  const branch = theirs !== undefined && !isLeaf(theirs) ? theirs : emptyBranch();
  const changed = joinBranchAt(mine, targetContext, branch, sourceContext, rest);
  if (mine.children.size === 0) target.children.delete(key);
  return changed;
}

/** Which of two writes wins: the one with the higher stamp, then replica id, then dot. */
export function compareWrites(a: LeafItem, b: LeafItem): number {
  const mine = a.payload as WritePayload;
  const theirs = b.payload as WritePayload;
  if (mine.hlc !== theirs.hlc) return mine.hlc < theirs.hlc ? -1 : 1;
  return compareText(mine.replica, theirs.replica) || compareDots(a.dot, b.dot);
}

function keepItems(
  mine: Leaf,
  theirs: StoreNode | undefined,
  sourceContext: ReadonlyContext,
): Leaf | undefined {
  const standing = theirs !== undefined && isLeaf(theirs) ? theirs.items.map((it) => it.dot) : [];
  const items = mine.items.filter(
    ({ dot }) => !containsDot(sourceContext, dot) || hasDot(standing, dot),
  );
  if (items.length === mine.items.length) return mine;
  return items.length === 0 ? undefined : { items };
}

function mergeItems(a: Leaf, b: Leaf): Leaf {
  return { items: [...a.items, ...b.items].sort((x, y) => compareDots(x.dot, y.dot)) };
}

function copyOf(node: StoreNode): StoreNode {
  return isLeaf(node) ? node : cloneBranch(node);
}
