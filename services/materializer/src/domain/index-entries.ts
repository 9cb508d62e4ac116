import type { Json } from '@memplane/contracts';
import { utf8, wordsText } from './keys.ts';
import type { Attributes } from './state.ts';

/** Bounds of what the index keeps of one entity; beyond them it is only listed as overflown. */
export const INDEX_BOUNDS = {
  entries_max: 256,
  path_bytes_max: 128,
  text_chars_max: 64,
  depth_max: 8,
} as const;

/** The list of entities with more attributes than the index takes: an impossible path. */
export const OVERFLOW_ENTRY = '\x00\x00';

const PATH_END = '\x00';
/** One character a type. Only scalars are found through the index; `null` also means missing. */
const TYPE = { number: '2', text: '3', boolean: '6' } as const;

export type IndexableValue = string | number | boolean;

function isIndexable(value: Json): value is IndexableValue {
  return value !== null && typeof value !== 'object';
}

/** Attribute names repeat: what is made of a path is made once. */
const prefixes = new Map<string, string | undefined>();
const PREFIXES_MAX = 10_000;

/** The beginning of all entries of a path; nothing for one that is not indexed. */
function prefixOf(path: string): string | undefined {
  if (prefixes.has(path)) return prefixes.get(path);
  if (prefixes.size >= PREFIXES_MAX) prefixes.clear();
  const bytes = utf8(path);
  const isIndexed =
    path !== '' && !path.includes('\x00') && bytes.length <= INDEX_BOUNDS.path_bytes_max;
  const prefix = isIndexed ? bytes + PATH_END : undefined;
  if (path.length <= INDEX_BOUNDS.path_bytes_max) prefixes.set(path, prefix);
  return prefix;
}

export function isIndexablePath(path: string): boolean {
  return prefixOf(path) !== undefined;
}

/** The beginning of all entries of a path whose values have the type of the given one. */
export function typePrefix(path: string, value: IndexableValue): string {
  return (prefixOf(path) ?? '') + typeOf(value);
}

/**
 * A value of a path, so that byte order is the order of values within a type. Long texts are cut:
 * entries are candidates, to be checked against the attributes themselves.
 */
export function entryOf(path: string, value: IndexableValue): string {
  return `${typePrefix(path, value)}${encodeValue(value)}`;
}

function typeOf(value: IndexableValue): string {
  if (typeof value === 'number') return TYPE.number;
  return typeof value === 'string' ? TYPE.text : TYPE.boolean;
}

function encodeValue(value: IndexableValue): string {
  if (typeof value === 'number') return encodeNumber(value);
  if (typeof value === 'boolean') return value ? '1' : '0';
  return `${encodeText(value)}\x00\x00`;
}

/** The beginning of a text as it is in an entry. */
export function encodeText(value: string): string {
  const cut = value.slice(0, INDEX_BOUNDS.text_chars_max);
  return utf8(cut.toWellFormed()).replaceAll('\x00', '\x00\xff');
}

const float = new Float64Array(1);
const word = new Uint32Array(float.buffer);
const [LOW, HIGH] = isLittleEndian() ? [0, 1] : [1, 0];

function isLittleEndian(): boolean {
  return new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
}

/** The bits of a float64, turned so that bytes sort as numbers do. */
function encodeNumber(value: number): string {
  float[0] = value === 0 ? 0 : value;
  let high = word[HIGH] ?? 0;
  let low = word[LOW] ?? 0;
  if (high >>> 31 === 1) {
    high = ~high;
    low = ~low;
  } else high |= 0x8000_0000;
  return wordsText(high, low);
}

/**
 * All entries of an entity: of its attributes, their members, and each element of arrays; or only
 * {@link OVERFLOW_ENTRY} where there would be too many. The order is a function of the attributes.
 */
export function entriesOf(attributes: Attributes): Set<string> {
  const found = new Set<string>();
  const complete = collectMembers('', attributes, 0, found);
  const fits = complete && found.size <= INDEX_BOUNDS.entries_max;
  return fits ? found : new Set([OVERFLOW_ENTRY]);
}

/**
 * The entries of one attribute alone, each once, in the order of {@link entriesOf}; undefined where
 * they are more than the index takes.
 */
export function entriesOfMember(name: string, value: Json): string[] | undefined {
  if (isIndexable(value)) return isIndexablePath(name) ? [entryOf(name, value)] : [];
  if (value === null) return [];
  const found = new Set<string>();
  return collect(name, value, 1, found) ? [...found] : undefined;
}

/** False once there are more than the index takes. */
function collect(path: string, value: Json, depth: number, found: Set<string>): boolean {
  if (depth > INDEX_BOUNDS.depth_max || found.size > INDEX_BOUNDS.entries_max) return false;
  if (!isIndexablePath(path)) return true;
  if (isIndexable(value)) found.add(entryOf(path, value));
  if (value === null || typeof value !== 'object') return true;
  if (!Array.isArray(value)) return collectMembers(`${path}.`, value, depth, found);
  for (const item of value) {
    if (isIndexable(item)) found.add(entryOf(path, item));
    if (found.size > INDEX_BOUNDS.entries_max) return false;
    // A path into an array means its elements: `items.name` finds any element's name.
    if (item === null || typeof item !== 'object' || Array.isArray(item)) continue;
    if (!collectMembers(`${path}.`, item, depth, found)) return false;
  }
  return found.size <= INDEX_BOUNDS.entries_max;
}

function collectMembers(
  prefix: string,
  value: Attributes,
  depth: number,
  found: Set<string>,
): boolean {
  for (const key of Object.keys(value)) {
    if (!collect(prefix + key, value[key] as Json, depth + 1, found)) return false;
  }
  return true;
}
