import { isJsonObject, type Json } from '@memplane/contracts';
import type { FilterPath } from './ast.ts';

/** A test of one value that a path leads to; `undefined` where it leads to nothing. */
export type ValueTest = (value: Json | undefined) => boolean;

/**
 * Whether any value that a path leads to passes the test. MongoDB's rules:
 * - a path goes through objects; a missing member, or a scalar on the way, is one missing value;
 * - at its end, an array stands for each of its elements and for itself as a whole;
 * - on the way, an array stands for its elements that are objects (each may be missing the rest),
 *   and a numeric segment also for the element at that place; an array without objects leads to
 *   nothing at all, not even to a missing value.
 */
export function anyValue(
  document: Json | undefined,
  path: FilterPath,
  from: number,
  test: ValueTest,
): boolean {
  let value = document;
  for (let i = from; i < path.length; i++) {
    if (!isJsonObject(value)) return test(undefined);
    const segment = path[i] as string;
    value = Object.hasOwn(value, segment) ? value[segment] : undefined;
    if (value === undefined) return test(undefined);
    if (Array.isArray(value)) return anyInArray(value, path, i + 1, test);
  }
  return test(value);
}

function anyInArray(array: Json[], path: FilterPath, from: number, test: ValueTest): boolean {
  if (from === path.length) {
    for (const element of array) if (test(element)) return true;
    return test(array);
  }
  for (const element of array) {
    if (isJsonObject(element) && anyValue(element, path, from, test)) return true;
  }
  const element = array[arrayIndex(path[from] as string)];
  if (element === undefined) return false;
  if (from + 1 === path.length) return test(element);
  if (Array.isArray(element)) return anyInArray(element, path, from + 1, test);
  return isJsonObject(element) && anyValue(element, path, from + 1, test);
}

/** The place that a segment names, or -1: `07` and `1e3` are names, not places. */
export function arrayIndex(segment: string): number {
  return /^(?:0|[1-9]\d{0,8})$/.test(segment) ? Number(segment) : -1;
}
