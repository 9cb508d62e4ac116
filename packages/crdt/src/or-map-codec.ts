import { encode } from 'cborg';
import { type DecodeLimits, expectSameBytes, openBounded } from './bounded-cbor.ts';
import { addDigests, encodeContext, recordDigest } from './codec.ts';
import { compareText } from './dot.ts';
import type { Branch, Leaf, LeafItem, StoreNode, WritePayload } from './dot-store.ts';
import * as form from './forms.ts';
import type { Json } from './lww-register.ts';
import { type FieldType, MAP_DEPTH_MAX, type OrMapState, parseKey } from './or-map.ts';
import { checkContext, checkJson, StandingDots } from './well-formed.ts';

const MAP = 6;
const FIELD = 7;

export function encodeMap(state: OrMapState): Uint8Array {
  const { context, root } = state;
  return encode([
    form.CRDT_FORMAT_VERSION,
    MAP,
    form.contextForm(context),
    branchForm(root, fieldForm),
  ]);
}

/** @throws MemplaneError `storage_damaged`, `body_too_large`, `too_deep` */
export function decodeMap(bytes: Uint8Array, limits?: DecodeLimits): OrMapState {
  const [contextForm, rootForm] = openBounded(bytes, MAP, limits);
  const context = form.contextOfForm(contextForm);
  checkContext(context);
  const root = branchOf(rootForm, fieldOf(new StandingDots(context), MAP_DEPTH_MAX));
  const state = { context, root };
  expectSameBytes(bytes, encodeMap(state));
  return state;
}

/** One field of the outermost map with all that stands in it, as a record of its own. */
export function encodeField(key: string, node: StoreNode): Uint8Array {
  return encode([form.CRDT_FORMAT_VERSION, FIELD, key, fieldForm(key, node)]);
}

/** The sum of the digests of the context and of each field of the outermost map. */
export function mapDigest(state: OrMapState): bigint {
  let digest = recordDigest(encodeContext(state.context));
  for (const [key, node] of state.root.children) {
    digest = addDigests(digest, recordDigest(encodeField(key, node)));
  }
  return digest;
}

type ToForm = (key: string, node: StoreNode) => unknown;
type OfForm = (key: string, form: unknown) => StoreNode;

function branchForm({ children }: Branch, toForm: ToForm): unknown[] {
  return [...children]
    .sort((a, b) => compareText(a[0], b[0]))
    .map(([key, child]) => [key, toForm(key, child)]);
}

function branchOf(value: unknown, ofForm: OfForm): Branch {
  const children = new Map<string, StoreNode>();
  for (const entry of form.list(value)) {
    const [keyForm, childForm] = form.list(entry);
    const key = form.text(keyForm);
    children.set(key, ofForm(key, childForm));
  }
  return { children };
}

function fieldForm(key: string, node: StoreNode): unknown {
  if ('items' in node) return node.items.map(itemForm);
  const isSet = parseKey(key)?.type === 'set';
  return branchForm(node, isSet ? elementForm : fieldForm);
}

function elementForm(_element: string, node: StoreNode): unknown {
  return 'items' in node ? form.dotsForm(node.items.map(({ dot }) => dot)) : [];
}

function itemForm({ dot, payload }: LeafItem): unknown {
  if (typeof payload === 'bigint') return [form.dotForm(dot), form.netForm(payload)];
  if (payload === undefined) return form.dotForm(dot);
  return [form.dotForm(dot), payload.hlc, payload.replica, payload.value];
}

function fieldOf(standing: StandingDots, depth: number): OfForm {
  const read: Record<FieldType, (value: unknown) => StoreNode> = {
    counter: (value) => leafOf(value, standing, amountOf),
    register: (value) => leafOf(value, standing, writeOf),
    set: (value) => nonEmpty(branchOf(value, (_, dots) => leafOf(dots, standing, presenceOf))),
    map: (value) => nonEmpty(branchOf(value, fieldOf(standing, depth - 1))),
  };
  return (key, value) => {
    const field = depth > 0 ? parseKey(key) : undefined;
    if (field === undefined) throw form.damaged('a key of a map');
    return read[field.type](value);
  };
}

function leafOf(value: unknown, standing: StandingDots, item: (value: unknown) => LeafItem): Leaf {
  const items = form.list(value).map(item);
  standing.check(items.map(({ dot }) => dot));
  return { items };
}

function nonEmpty(branch: Branch): Branch {
  if (branch.children.size === 0) throw form.damaged('an empty value in a map');
  return branch;
}

function amountOf(value: unknown): LeafItem {
  const [dot, amount] = form.list(value);
  return { dot: form.dotOfForm(dot), payload: form.netOf(amount) };
}

function writeOf(value: unknown): LeafItem {
  const [dot, hlc, replica, json] = form.list(value);
  checkJson(json);
  const payload: WritePayload = {
    hlc: form.big(hlc),
    replica: form.text(replica),
    value: json as Json,
  };
  return { dot: form.dotOfForm(dot), payload };
}

function presenceOf(value: unknown): LeafItem {
  return { dot: form.dotOfForm(value), payload: undefined };
}
