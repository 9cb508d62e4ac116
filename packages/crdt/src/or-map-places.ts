import { joinContextInto } from './context.ts';
import { findNode, joinBranchAt, type LeafItem, leavesOf, type WritePayload } from './dot-store.ts';
import { type FieldPath, type FieldType, fieldKeys, type OrMapState, parseKey } from './or-map.ts';
import { encodeMap } from './or-map-codec.ts';
import { readCounterField, readRegisterField } from './or-map-reads.ts';

/** A field of a map, or an element of a set that is one. */
export interface MapPlace {
  readonly type: FieldType;
  readonly path: FieldPath;
  readonly element?: string | undefined;
}

/**
 * The keys of the store that lead to a place.
 * @throws MemplaneError `invalid_request` for a path of no names, or too many
 */
export function placeKeys({ type, path, element }: MapPlace): string[] {
  const keys = fieldKeys(type, path);
  return element === undefined ? keys : [...keys, element];
}

/**
 * The join with a delta that was made of `target` and whose dots all stand at or below a place:
 * nothing else is looked at, so it costs what it touches, however large the map is.
 * @returns whether `target` grew
 */
export function joinMapAt(target: OrMapState, keys: readonly string[], delta: OrMapState): boolean {
  const { root, context } = target;
  const changed = joinBranchAt(root, context, delta.root, delta.context, keys);
  return joinContextInto(context, delta.context) || changed;
}

/** Whether anything stands at or below a place. */
export function standsAt({ root }: OrMapState, keys: readonly string[]): boolean {
  return findNode(root, keys) !== undefined;
}

/** One field with what it holds, and where: a name may be a counter and a set at the same time. */
export type MapField =
  | { readonly type: 'counter'; readonly path: FieldPath; readonly value: bigint }
  | { readonly type: 'set'; readonly path: FieldPath; readonly elements: readonly string[] }
  | { readonly type: 'register'; readonly path: FieldPath; readonly write: WritePayload };

/** All fields but for maps, which are nothing without theirs: by path, then type, in one order. */
export function mapFields(state: OrMapState): MapField[] {
  const found = new Map<string, { place: MapPlace; elements: string[] }>();
  for (const [keys] of leavesOf(state.root)) {
    const parsed = placeOfLeaf(keys);
    if (parsed === undefined) continue;
    const id = JSON.stringify([parsed.path, parsed.type]);
    const known = found.get(id) ?? { place: parsed, elements: [] };
    if (parsed.element !== undefined) known.elements.push(parsed.element);
    found.set(id, known);
  }
  return [...found]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, { place, elements }]) => fieldAt(state, place, elements));
}

/** The bytes of a map as it is stored and sent. */
export function mapBytes(state: OrMapState): number {
  return encodeMap(state).length;
}

/** The writes that stand anywhere in a map. */
export function* mapWrites(state: OrMapState): Generator<WritePayload> {
  for (const [, { items }] of leavesOf(state.root)) {
    for (const { payload } of items) if (isWrite(payload)) yield payload;
  }
}

function isWrite(payload: LeafItem['payload']): payload is WritePayload {
  return typeof payload === 'object';
}

function placeOfLeaf(keys: readonly string[]): MapPlace | undefined {
  const path: string[] = [];
  for (const [index, key] of keys.entries()) {
    const field = parseKey(key);
    if (field === undefined) return undefined;
    path.push(field.name);
    if (field.type === 'map') continue;
    return { type: field.type, path, element: keys[index + 1] };
  }
  return undefined;
}

function fieldAt(state: OrMapState, { type, path }: MapPlace, elements: string[]): MapField[] {
  if (type === 'counter') return [{ type, path, value: readCounterField(state, path) }];
  if (type === 'set') return [{ type, path, elements: elements.sort(byBytes) }];
  const write = type === 'register' ? readRegisterField(state, path) : undefined;
  return write === undefined ? [] : [{ type: 'register', path, write }];
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
