import { MemplaneError } from '@memplane/contracts';
import { missingContext } from './causal-difference.ts';
import {
  addDot,
  type CausalContext,
  cloneContext,
  containsDot,
  contextOf,
  dotsOf,
  joinContextInto,
  nextDot,
  subtractContext,
} from './context.ts';
import type { Dot, Incarnation } from './dot.ts';
import * as store from './dot-store.ts';

/**
 * An observed-remove map of counters, sets, registers and further maps. All nested values share one
 * causal context, so a removal of a key needs no tombstone: it takes away the dots that it has seen
 * below the key, and an update that it has not seen survives with what that update itself wrote.
 * A key is a type with a name, so replicas that use one name for two types keep both.
 *
 * An increment has a dot of its own until {@link COUNTER_DOTS_MAX} of one incarnation stand in a
 * counter, or fewer where others have left theirs there: see {@link ownDotsMax}. The next one then
 * takes their place with their sum; a removal that is concurrent to just that increment leaves the
 * sum standing (the update wins). A top-level counter has no such case.
 */
export interface OrMapState {
  readonly root: store.Branch;
  readonly context: CausalContext;
}

export type FieldType = 'counter' | 'set' | 'register' | 'map';

/** Names from the outermost to the innermost; all but the last are of maps. */
export type FieldPath = readonly string[];

export const COUNTER_DOTS_MAX = 64;
export const COUNTER_DOTS_MIN = 4;
/** Names in a path. */
export const MAP_DEPTH_MAX = 8;
const PREFIXES = { counter: 'c:', set: 's:', register: 'r:', map: 'm:' } as const;
const TYPES: ReadonlyMap<string, FieldType> = new Map(
  Object.entries(PREFIXES).map(([type, prefix]) => [prefix, type as FieldType]),
);

export function emptyMap(): OrMapState {
  return { root: store.emptyBranch(), context: new Map() };
}

export function cloneMap(state: OrMapState): OrMapState {
  return { root: store.cloneBranch(state.root), context: cloneContext(state.context) };
}

/**
 * The keys of the store that lead to a field.
 * @throws MemplaneError `invalid_request` for a path of no names, or more than
 * {@link MAP_DEPTH_MAX}.
 */
export function fieldKeys(type: FieldType, path: FieldPath): string[] {
  const last = path.at(-1);
  if (last === undefined || path.length > MAP_DEPTH_MAX) {
    throw new MemplaneError('invalid_request', `A path has 1 to ${MAP_DEPTH_MAX} names.`);
  }
  return [...path.slice(0, -1).map((name) => PREFIXES.map + name), PREFIXES[type] + last];
}

/** The type and the name in a key of the store; undefined for what {@link fieldKeys} never makes. */
export function parseKey(key: string): { type: FieldType; name: string } | undefined {
  const type = TYPES.get(key.slice(0, 2));
  return type && { type, name: key.slice(2) };
}

/** The delta of an increment of a nested counter, or of a decrement. */
export function incrementField(
  state: OrMapState,
  path: FieldPath,
  incarnation: Incarnation,
  by: bigint,
): OrMapState {
  const keys = fieldKeys('counter', path);
  const items = itemsAt(state, keys);
  const own = items.filter(({ dot }) => dot.incarnation === incarnation);
  const folded = own.length >= ownDotsMax(items) ? own : [];
  let amount = by;
  for (const { payload } of folded) if (typeof payload === 'bigint') amount += payload;
  const dot = nextDot(state.context, incarnation);
  return deltaOf(keys, { dot, payload: amount }, folded);
}

/** The delta of an add to a nested set, in place of the element's dots that were seen. */
export function addToField(
  state: OrMapState,
  path: FieldPath,
  incarnation: Incarnation,
  element: string,
): OrMapState {
  const keys = [...fieldKeys('set', path), element];
  const dot = nextDot(state.context, incarnation);
  return deltaOf(keys, { dot, payload: undefined }, itemsAt(state, keys));
}

/** The delta of a removal from a nested set. */
export function removeFromField(state: OrMapState, path: FieldPath, element: string): OrMapState {
  return removeKeys(state, [...fieldKeys('set', path), element]);
}

/** The delta of a write to a nested register; what has a higher stamp stays and goes on winning. */
export function writeField(
  state: OrMapState,
  path: FieldPath,
  incarnation: Incarnation,
  payload: store.WritePayload,
): OrMapState {
  const keys = fieldKeys('register', path);
  const item = { dot: nextDot(state.context, incarnation), payload };
  const beaten = itemsAt(state, keys).filter((seen) => store.compareWrites(seen, item) < 0);
  return deltaOf(keys, item, beaten);
}

/** The delta of the removal of a key, or of the reset of what is nested there: one and the same. */
export function removeField(state: OrMapState, type: FieldType, path: FieldPath): OrMapState {
  return removeKeys(state, fieldKeys(type, path));
}

/** The delta of a reset: all that was seen. */
export function resetMap(state: OrMapState): OrMapState {
  return removeKeys(state, []);
}

/** Joins `source` into `target` in place. Returns whether `target` grew. O(what stands in both). */
export function joinMapInto(target: OrMapState, source: OrMapState): boolean {
  const { root, context } = target;
  const changed = store.joinBranchInto(root, context, source.root, source.context);
  return joinContextInto(context, source.context) || changed;
}

/** The irredundant join decomposition: one part a dot, with its place where it stands. */
export function* decomposeMap(state: OrMapState): Generator<OrMapState> {
  const standing: CausalContext = new Map();
  for (const [keys, { items }] of store.leavesOf(state.root)) {
    for (const item of items) {
      yield deltaOf(keys, item, []);
      addDot(standing, item.dot);
    }
  }
  for (const dot of dotsOf(subtractContext(state.context, standing))) {
    yield { root: store.emptyBranch(), context: contextOf([dot]) };
  }
}

/** Δ(a, b). */
export function mapDifference(a: OrMapState, b: OrMapState): OrMapState {
  const fresh = store.filterNode(a.root, (dot) => !containsDot(b.context, dot));
  const standing = store.dotsNotIn(b.root, a.root);
  const context = missingContext(a.context, () => false, { context: b.context, standing });
  const root = fresh === undefined || store.isLeaf(fresh) ? store.emptyBranch() : fresh;
  return { root, context };
}

/** The delta of a removal of all that was seen at or below a place; see `placeKeys`. */
export function removeKeys(state: OrMapState, keys: readonly string[]): OrMapState {
  const dots = store.standingDots(store.findNode(state.root, keys));
  return { root: store.emptyBranch(), context: contextOf(dots) };
}

/**
 * How many dots one incarnation may have in a counter. What an ended one leaves there nobody may
 * fold, so a counter that has seen many of them gives each less room.
 */
function ownDotsMax(items: readonly store.LeafItem[]): number {
  const incarnations = new Set(items.map(({ dot }) => dot.incarnation)).size;
  return Math.max(COUNTER_DOTS_MIN, Math.floor(COUNTER_DOTS_MAX / Math.max(1, incarnations)));
}

function itemsAt(state: OrMapState, keys: readonly string[]): readonly store.LeafItem[] {
  const node = store.findNode(state.root, keys);
  return node !== undefined && store.isLeaf(node) ? node.items : [];
}

function deltaOf(
  keys: readonly string[],
  item: store.LeafItem,
  replaced: readonly store.LeafItem[],
): OrMapState {
  const dots: Dot[] = [...replaced.map(({ dot }) => dot), item.dot];
  return { root: store.branchTo(keys, { items: [item] }), context: contextOf(dots) };
}
