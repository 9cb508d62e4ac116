import type { Json } from '@memplane/contracts';
import type { Filter, RangeOperator } from './ast.ts';
import { arrayIndex } from './path.ts';

/**
 * What an index can do for a filter. Every document that matches the filter is among the plan's
 * candidates; candidates may match or not, and have to be checked.
 *
 * A `leaf` holds for a document when at least one of the values that its path leads to satisfies it,
 * so an index with one entry for each (path, value), elements of arrays included, answers it. Two
 * leaves of one path must not be merged into one range: different elements may satisfy them.
 */
export type IndexPlan = UsablePlan | { readonly kind: 'scan' };

export type UsablePlan =
  | IndexLeaf
  /** Any of the parts may be used, or their intersection. */
  | { readonly kind: 'and'; readonly of: readonly UsablePlan[] }
  /** The union of all. */
  | { readonly kind: 'or'; readonly of: readonly UsablePlan[] };

export interface IndexLeaf {
  readonly kind: 'leaf';
  /** The segments joined by dots; none is numeric. */
  readonly path: string;
  readonly op: 'eq' | 'in' | RangeOperator;
  /** The scalar values: one, or those of `in`. */
  readonly values: readonly IndexableValue[];
}

export type IndexableValue = string | number | boolean;

const SCAN = { kind: 'scan' } as const;

/** Extracts from a filter what an index of scalar values can answer. */
export function planFilter(filter: Filter): IndexPlan {
  switch (filter.op) {
    case 'and':
      return conjunction(filter.of.map(planFilter));
    case 'or':
      return disjunction(filter.of.map(planFilter));
    // The complement of candidates is no list of candidates, and an index holds what exists, not
    // what is missing: `null` matches that, too.
    case 'not':
    case 'exists':
      return SCAN;
    case 'in':
      return leaf(filter.path, 'in', filter.values);
    default:
      return leaf(filter.path, filter.op, [filter.value]);
  }
}

function leaf(path: readonly string[], op: IndexLeaf['op'], values: readonly Json[]): IndexPlan {
  if (path.some((segment) => arrayIndex(segment) >= 0)) return SCAN;
  if (!values.every(isScalar)) return SCAN;
  return { kind: 'leaf', path: path.join('.'), op, values };
}

function isScalar(value: Json): value is IndexableValue {
  return value !== null && typeof value !== 'object';
}

function conjunction(plans: readonly IndexPlan[]): IndexPlan {
  const of = plans.filter((plan) => plan.kind !== 'scan');
  const [only] = of;
  if (only === undefined) return SCAN;
  return of.length === 1 ? only : { kind: 'and', of };
}

function disjunction(plans: readonly IndexPlan[]): IndexPlan {
  const of = plans.filter((plan) => plan.kind !== 'scan');
  const [only] = of;
  if (of.length < plans.length || only === undefined) return SCAN;
  return of.length === 1 ? only : { kind: 'or', of };
}
