import canonicalize from 'canonicalize';

/**
 * A JSON value in the canonical form of RFC 8785: keys sorted by UTF-16 code units, no white space.
 * Sorting a copy and letting `JSON.stringify` write it takes a third of the library's time, since
 * ECMAScript's texts of numbers and strings are those of the RFC. Keys that begin with a digit are
 * left to the library: an object lists keys such as `10` by number, wherever they were added.
 */
export function canonicalJson(value: unknown): string {
  const sorted = sortedCopy(value);
  if (sorted !== LIBRARY) return JSON.stringify(sorted);
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError('not a JSON value');
  return text;
}

/** Stands for: a key that only the library sorts rightly. */
const LIBRARY = Symbol('library');

function sortedCopy(value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return sortedItems(value);
  const keys = sortedKeys(value);
  const copy: Record<string, unknown> = {};
  for (const key of keys) {
    const first = key.charCodeAt(0);
    if (first >= 0x30 && first <= 0x39) return LIBRARY;
    const member = sortedCopy((value as Record<string, unknown>)[key]);
    if (member === LIBRARY) return LIBRARY;
    copy[key] = member;
  }
  return copy;
}

/** Arrays of plain values, such as embeddings, are not copied. */
function sortedItems(items: readonly unknown[]): unknown {
  let copy: unknown[] | undefined;
  for (let i = 0; i < items.length; i++) {
    const item = items[i];
    if (item === null || typeof item !== 'object') continue;
    const sorted = sortedCopy(item);
    if (sorted === LIBRARY) return LIBRARY;
    copy ??= [...items];
    copy[i] = sorted;
  }
  return copy ?? items;
}

function sortedKeys(value: object): string[] {
  const keys = Object.keys(value);
  for (let i = 1; i < keys.length; i++) {
    if ((keys[i - 1] ?? '') > (keys[i] ?? '')) return keys.sort();
  }
  return keys;
}
