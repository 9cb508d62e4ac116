import { isJsonObject, type Json } from '@memplane/contracts';

/** MongoDB's order of types; values of different types are never in range of each other. */
export function bracket(value: Json): number {
  if (value === null) return 1;
  switch (typeof value) {
    case 'number':
      return 2;
    case 'string':
      return 3;
    case 'boolean':
      return 6;
    default:
      return Array.isArray(value) ? 5 : 4;
  }
}

/**
 * Orders any two JSON values: by type, then numbers by value, text by code point (as UTF-8 bytes
 * do), `false` before `true`, arrays element by element, objects member by member. Members count
 * in the order of their names, since JSON gives their own order no meaning (MongoDB's does).
 */
export function compareJson(a: Json, b: Json): number {
  if (a === b) return 0;
  const byType = bracket(a) - bracket(b);
  if (byType !== 0) return byType;
  if (typeof a === 'number' || typeof a === 'boolean') return Number(a) - Number(b);
  if (typeof a === 'string') return compareText(a, b as string);
  if (Array.isArray(a)) return compareArrays(a, b as Json[]);
  if (isJsonObject(a)) return compareObjects(a, b as { [key: string]: Json });
  return 0;
}

export function equalJson(a: Json, b: Json): boolean {
  return a === b || (typeof a === 'object' && compareJson(a, b) === 0);
}

/** By code point: UTF-16 units in the surrogate range stand for the highest ones. */
export function compareText(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    const xHigh = x >= 0xd800 && x <= 0xdfff;
    const yHigh = y >= 0xd800 && y <= 0xdfff;
    return xHigh === yHigh ? x - y : xHigh ? 1 : -1;
  }
  return a.length - b.length;
}

function compareArrays(a: readonly Json[], b: readonly Json[]): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    const order = compareJson(a[i] as Json, b[i] as Json);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareObjects(a: { [key: string]: Json }, b: { [key: string]: Json }): number {
  const keysA = Object.keys(a).sort(compareText);
  const keysB = Object.keys(b).sort(compareText);
  const shorter = Math.min(keysA.length, keysB.length);
  for (let i = 0; i < shorter; i++) {
    const x = keysA[i] as string;
    const y = keysB[i] as string;
    const valueA = a[x] as Json;
    const valueB = b[y] as Json;
    const order =
      bracket(valueA) - bracket(valueB) || compareText(x, y) || compareJson(valueA, valueB);
    if (order !== 0) return order;
  }
  return keysA.length - keysB.length;
}
