import { type Json, partitionKey } from '@memplane/contracts';
import type { Filter, FilterPath } from '@memplane/filter';
import { FIELD_KIND, type FieldKind, fieldEntries, kindOf } from '../../domain/field-entries.ts';
import type { NearestScope } from '../../domain/ports.ts';

/** Entries of a row's metadata that become tags; with more, the row is tagged {@link ANY} alone. */
export const TAGS_MAX = 64;
/** Bytes of a tag. */
export const TAG_BYTES_MAX = 512;
/** Of rows whose metadata can not be told by tags: no filter leaves them out. */
const ANY = '*';
const IN_VALUES_MAX = 64;

const LETTERS: Partial<Record<FieldKind, string>> = {
  [FIELD_KIND.boolean]: 'b',
  [FIELD_KIND.number]: 'n',
  [FIELD_KIND.text]: 's',
};

/** A row's metadata as `path=kind:value`, for the database to filter by. */
export function tagsOf(metadata: { readonly [key: string]: Json }): string[] {
  const entries = fieldEntries(metadata, TAGS_MAX);
  if (!entries) return [ANY];
  const tags: string[] = [];
  for (const { path, kind, value } of entries) {
    const letter = LETTERS[kind];
    if (letter === undefined) continue;
    const tag = `${(JSON.parse(path) as string[]).join('.')}=${letter}:${value}`;
    if (!fits(tag)) return [ANY];
    tags.push(tag);
  }
  return tags;
}

/**
 * What the database may leave out, as an expression of Milvus: every row in scope passes it, and
 * maybe others do. Undefined where it can't tell. What exactly matches is settled here.
 */
export function narrowing(tenant: string, scope: NearestScope): string | undefined {
  const parts: string[] = [];
  if (scope.entity !== undefined) {
    parts.push(`entity_key == ${literal(partitionKey(tenant, scope.entity))}`);
  }
  const byFilter = scope.filter && ofFilter(scope.filter);
  if (byFilter !== undefined) parts.push(byFilter);
  return parts.length === 0 ? undefined : parts.join(' and ');
}

function ofFilter(filter: Filter): string | undefined {
  switch (filter.op) {
    case 'and': {
      const parts = filter.of.map(ofFilter).filter((part) => part !== undefined);
      return parts.length === 0 ? undefined : `(${parts.join(' and ')})`;
    }
    case 'or': {
      const parts = filter.of.map(ofFilter);
      if (parts.length === 0 || parts.includes(undefined)) return undefined;
      return `(${parts.join(' or ')})`;
    }
    case 'eq':
      return tagged(filter.path, [filter.value]);
    case 'in':
      return tagged(filter.path, filter.values);
    default:
      return undefined;
  }
}

function tagged(path: FilterPath, values: readonly Json[]): string | undefined {
  // A number may be a place in an array, which no tag tells.
  if (path.some((segment) => /^\d+$/.test(segment))) return undefined;
  if (values.length === 0 || values.length > IN_VALUES_MAX) return undefined;
  const tests = [`array_contains(tags, ${literal(ANY)})`];
  for (const value of values) {
    const letter = LETTERS[kindOf(value)];
    if (letter === undefined) return undefined;
    const shown = typeof value === 'boolean' ? Number(value) : value;
    const tag = `${path.join('.')}=${letter}:${shown}`;
    if (!fits(tag)) return undefined;
    tests.push(`array_contains(tags, ${literal(tag)})`);
  }
  return `(${tests.join(' or ')})`;
}

/** Characters that the expression's own escapes could change are left to us. */
function fits(tag: string): boolean {
  return Buffer.byteLength(tag) <= TAG_BYTES_MAX && !/["\\\p{Cc}]/u.test(tag) && tag.isWellFormed();
}

/** @param text without quotes, backslashes and control characters, or an entity's key */
export function literal(text: string): string {
  return `"${text}"`;
}
