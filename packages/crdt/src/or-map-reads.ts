import { type Branch, compareWrites, findNode, isLeaf, type WritePayload } from './dot-store.ts';
import { type FieldPath, type FieldType, fieldKeys, type OrMapState, parseKey } from './or-map.ts';

/** The sum of a nested counter; 0n for one that is not there. */
export function readCounterField(state: OrMapState, path: FieldPath): bigint {
  const node = findNode(state.root, fieldKeys('counter', path));
  let sum = 0n;
  if (node === undefined || !isLeaf(node)) return sum;
  for (const { payload } of node.items) if (typeof payload === 'bigint') sum += payload;
  return sum;
}

/** The elements of a nested set, in no particular order. */
export function readSetField(state: OrMapState, path: FieldPath): string[] {
  const node = findNode(state.root, fieldKeys('set', path));
  return node === undefined || isLeaf(node) ? [] : [...node.children.keys()];
}

/** The write that wins in a nested register, or undefined where nothing is written. */
export function readRegisterField(state: OrMapState, path: FieldPath): WritePayload | undefined {
  const node = findNode(state.root, fieldKeys('register', path));
  if (node === undefined || !isLeaf(node)) return undefined;
  const [best] = node.items.toSorted((a, b) => compareWrites(b, a));
  return typeof best?.payload === 'object' ? best.payload : undefined;
}

/** The keys of the map at the end of a path of names; the outermost for no names. */
export function fieldsOf(state: OrMapState, path: FieldPath): { type: FieldType; name: string }[] {
  const node = path.length === 0 ? state.root : findNode(state.root, fieldKeys('map', path));
  const branch: Branch = node === undefined || isLeaf(node) ? { children: new Map() } : node;
  return [...branch.children.keys()].map(parseKey).filter((field) => field !== undefined);
}
