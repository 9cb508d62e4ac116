import type { Json } from '@memplane/contracts';
import type { Filter, RangeOperator } from './ast.ts';
import { bracket, compareJson, compareText, equalJson } from './compare.ts';
import { anyValue, type ValueTest } from './path.ts';

/** Tells whether a document matches. Pure; never throws. */
export type Matcher = (document: Json) => boolean;

/** Turns a filter into one function, made once and called for each document. */
export function compileFilter(filter: Filter): Matcher {
  switch (filter.op) {
    case 'and':
      return all(filter.of.map(compileFilter));
    case 'or': {
      const matchers = filter.of.map(compileFilter);
      return (document) => matchers.some((matches) => matches(document));
    }
    case 'not': {
      const matches = compileFilter(filter.of);
      return (document) => !matches(document);
    }
    case 'exists':
      return atPath(filter.path, (value) => value !== undefined);
    case 'eq':
      return atPath(filter.path, equalTo(filter.value));
    case 'in':
      return atPath(filter.path, oneOf(filter.values));
    default:
      return atPath(filter.path, inRange(filter.op, filter.value));
  }
}

function all(matchers: readonly Matcher[]): Matcher {
  const [first, second] = matchers;
  if (first === undefined) return () => true;
  if (second === undefined) return first;
  return (document) => {
    for (const matches of matchers) if (!matches(document)) return false;
    return true;
  };
}

function atPath(path: readonly string[], test: ValueTest): Matcher {
  return (document) => anyValue(document, path, 0, test);
}

/** A missing value equals `null`. */
function equalTo(wanted: Json): ValueTest {
  if (wanted === null) return (value) => value === null || value === undefined;
  if (typeof wanted !== 'object') return (value) => value === wanted;
  return (value) => value !== undefined && equalJson(value, wanted);
}

function oneOf(values: readonly Json[]): ValueTest {
  const scalars = new Set<Json | undefined>();
  const others: Json[] = [];
  for (const value of values) {
    if (value !== null && typeof value === 'object') others.push(value);
    else scalars.add(value);
  }
  if (scalars.has(null)) scalars.add(undefined);
  return (value) => {
    if (value === null || typeof value !== 'object') return scalars.has(value);
    return others.some((other) => equalJson(value, other));
  };
}

function inRange(op: RangeOperator, bound: Json): ValueTest {
  const orEqual = op === 'gte' || op === 'lte';
  if (bound === null) return (value) => orEqual && (value === null || value === undefined);
  const accepts = acceptor(op);
  if (typeof bound === 'number') {
    return (value) =>
      typeof value === 'number' && accepts(value < bound ? -1 : value > bound ? 1 : 0);
  }
  if (typeof bound === 'string') {
    return (value) => typeof value === 'string' && accepts(compareText(value, bound));
  }
  const type = bracket(bound);
  return (value) =>
    value !== undefined && bracket(value) === type && accepts(compareJson(value, bound));
}

function acceptor(op: RangeOperator): (order: number) => boolean {
  switch (op) {
    case 'gt':
      return (order) => order > 0;
    case 'gte':
      return (order) => order >= 0;
    case 'lt':
      return (order) => order < 0;
    case 'lte':
      return (order) => order <= 0;
  }
}
