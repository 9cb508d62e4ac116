import type { Json } from '@memplane/contracts';

/** Bounds of a filter, beside the bounds of the body that it comes in. */
export const FILTER_LIMITS = {
  /** Nested `$and`, `$or`, `$not`. */
  filter_depth_max: 16,
  /** Values of one `$in`. */
  filter_in_values_max: 1000,
  filter_path_chars_max: 512,
  /** Also bounds the ways in which a numeric segment can be read, as a name or as a place. */
  filter_path_segments_max: 16,
} as const;

export type RangeOperator = 'gt' | 'gte' | 'lt' | 'lte';

/** A path as its segments: `a.b` is `['a', 'b']`. */
export type FilterPath = readonly string[];

/** A checked filter. `$ne` and `$exists: false` are already written as `not`. */
export type Filter =
  | { readonly op: 'and' | 'or'; readonly of: readonly Filter[] }
  | { readonly op: 'not'; readonly of: Filter }
  | { readonly op: 'eq' | RangeOperator; readonly path: FilterPath; readonly value: Json }
  | { readonly op: 'in'; readonly path: FilterPath; readonly values: readonly Json[] }
  | { readonly op: 'exists'; readonly path: FilterPath };
