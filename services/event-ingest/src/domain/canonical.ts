import canonicalize from 'canonicalize';

/**
 * A JSON value in the canonical form of RFC 8785: keys sorted by UTF-16 code units, no white space.
 * Sorting a copy and letting `JSON.stringify` write it takes a third of the library's time, since
 * ECMAScript's texts of numbers and strings are those of the RFC. Keys that begin with a digit are
 * left to the library: an object lists keys such as `10` by number, wherever they were added.
 * @param plain what `JSON.stringify` makes of the value, where it is known: it is canonical when
 * all keys are sorted already
 */
export function canonicalJson(value: unknown, plain?: string): string {
  const sorted = sortedCopy(value);
  if (sorted === value && plain !== undefined) return plain;
  if (sorted !== LIBRARY) return JSON.stringify(sorted);
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError('not a JSON value');
  return text;
}

/** Stands for: a key that only the library sorts rightly. */
const LIBRARY = Symbol('library');

/** The value with its keys sorted: itself where they are, else a copy. */
function sortedCopy(value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return sortedItems(value);
  const object = value as Record<string, unknown>;
  const keys = Object.keys(object);
  const isSorted = sortKeys(keys);
  let copy: Record<string, unknown> | undefined = isSorted ? undefined : {};
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i] as string;
    const first = key.charCodeAt(0);
    if (first >= 0x30 && first <= 0x39) return LIBRARY;
    const member = object[key];
    const sorted = sortedCopy(member);
    if (sorted === LIBRARY) return LIBRARY;
    if (copy === undefined && sorted !== member) copy = { ...object };
    if (copy !== undefined) copy[key] = sorted;
  }
  return copy ?? value;
}

function sortedItems(items: readonly unknown[]): unknown {
  let copy: unknown[] | undefined;
  for (let i = 0; i < items.length; i++) {
    const item = items[i];
    if (item === null || typeof item !== 'object') continue;
    const sorted = sortedCopy(item);
    if (sorted === LIBRARY) return LIBRARY;
    if (sorted === item) continue;
    copy ??= [...items];
    copy[i] = sorted;
  }
  return copy ?? items;
}

/** @returns whether they were sorted before */
function sortKeys(keys: string[]): boolean {
  for (let i = 1; i < keys.length; i++) {
    if ((keys[i - 1] as string) > (keys[i] as string)) {
      keys.sort();
      return false;
    }
  }
  return true;
}
