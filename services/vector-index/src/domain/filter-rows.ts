import type { Json } from '@memplane/contracts';
import { compileFilter, type Filter, type FilterPath } from '@memplane/filter';
import { Bitmap } from './bitmap.ts';
import { FIELD_KIND, type FieldKind, keyValue, kindOf, pathKey } from './field-entries.ts';

export type FieldTest = 'any' | 'eq' | 'gt' | 'gte' | 'lt' | 'lte';

/** Rows by what their metadata hold. Answers are copies: the asker may change them. */
export interface FieldIndex {
  /** Rows with an entry of this path and kind whose value passes. */
  rows(path: string, kind: FieldKind, test: FieldTest, value: string | number): Bitmap;
  /** Rows with any entry of this path. */
  existing(path: string): Bitmap;
  /** Rows with too many fields to be indexed: they are looked at one by one. */
  unindexed(): Bitmap;
  all(): Bitmap;
  metadata(row: number): Json;
}

/** The rows that match a filter: by set algebra on the index, and by a look where it can't tell. */
export function filterRows(filter: Filter, index: FieldIndex): Bitmap {
  const unindexed = index.unindexed();
  const rows = evaluate(filter, index).andNot(unindexed);
  return rows.or(looked(unindexed, filter, index));
}

function evaluate(filter: Filter, index: FieldIndex): Bitmap {
  switch (filter.op) {
    case 'and':
      return filter.of.reduce((rows, part) => rows.and(evaluate(part, index)), index.all());
    case 'or':
      return filter.of
        .map((part) => evaluate(part, index))
        .reduce((rows, part) => rows.or(part), new Bitmap());
    case 'not':
      return index.all().andNot(evaluate(filter.of, index));
    case 'exists':
      return withArraysOnTheWay(filter, filter.path, index.existing(pathKey(filter.path)), index);
    case 'eq':
      return leaf(filter, filter.path, [filter.value], 'eq', index);
    case 'in':
      return leaf(filter, filter.path, filter.values, 'eq', index);
    default:
      return leaf(filter, filter.path, [filter.value], filter.op, index);
  }
}

function leaf(
  filter: Filter,
  path: FilterPath,
  values: readonly Json[],
  op: FieldTest,
  index: FieldIndex,
): Bitmap {
  const key = pathKey(path);
  const rows = new Bitmap();
  const toLookAt = new Bitmap();
  for (const value of values) {
    const kind = kindOf(value);
    if (kind === FIELD_KIND.null) {
      if (op !== 'eq' && op !== 'gte' && op !== 'lte') continue;
      rows.or(index.rows(key, kind, 'any', 0));
      // What does not exist is missing, unless an array is on the way: those are looked at below.
      rows.or(index.all().andNot(index.existing(key)).andNot(arraysOnTheWay(path, index)));
    } else if (kind === FIELD_KIND.array || kind === FIELD_KIND.object) {
      toLookAt.or(index.rows(key, kind, 'any', 0));
    } else if (kind === FIELD_KIND.text || kind === FIELD_KIND.oddText) {
      if (kind === FIELD_KIND.text) rows.or(index.rows(key, kind, op, keyValue(value, kind)));
      else if (op !== 'eq') toLookAt.or(index.rows(key, FIELD_KIND.text, 'any', 0));
      if (kind === FIELD_KIND.oddText || op !== 'eq') {
        toLookAt.or(index.rows(key, FIELD_KIND.oddText, 'any', 0));
      }
    } else {
      rows.or(index.rows(key, kind, op, keyValue(value, kind)));
    }
  }
  rows.or(looked(toLookAt, filter, index));
  return withArraysOnTheWay(filter, path, rows, index);
}

/** Arrays on the way may lead to places by number and to values that are missing: looked at. */
function withArraysOnTheWay(
  filter: Filter,
  path: FilterPath,
  rows: Bitmap,
  index: FieldIndex,
): Bitmap {
  if (path.length === 1) return rows;
  return rows.or(looked(arraysOnTheWay(path, index), filter, index));
}

function arraysOnTheWay(path: FilterPath, index: FieldIndex): Bitmap {
  const rows = new Bitmap();
  for (let length = 1; length < path.length; length++) {
    rows.or(index.rows(pathKey(path.slice(0, length)), FIELD_KIND.array, 'any', 0));
  }
  return rows;
}

function looked(rows: Bitmap, filter: Filter, index: FieldIndex): Bitmap {
  const matches = compileFilter(filter);
  const kept = rows.clone();
  for (const row of rows) if (!matches(index.metadata(row))) kept.remove(row);
  return kept;
}
