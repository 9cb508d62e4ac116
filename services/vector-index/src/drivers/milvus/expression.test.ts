import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '@memplane/contracts';
import { compileFilter, parseFilter } from '@memplane/filter';
import fc from 'fast-check';
import { filters, metadata } from '../../testing/filter-arbitraries.ts';
import { narrowing, tagsOf } from './expression.ts';

/** What Milvus makes of an expression over tags. */
function passes(expression: string, tags: readonly string[]): boolean {
  const script = expression
    .replaceAll(/array_contains\(tags, ("[^"]*")\)/g, (_, tag: string) =>
      String(tags.includes(tag.slice(1, -1))),
    )
    .replaceAll(' and ', ' && ')
    .replaceAll(' or ', ' || ');
  assert.match(script, /^[()&| truefals]*$/);
  return new Function(`return ${script};`)() === true;
}

const PATHS = ['a', 'b', 'a.b', 'a.0', 'a.b.c', 'a.0.b', 'b.a'];

/** What no tag can tell. */
const untold = metadata.map((row) => ({ ...row, q: 'it says "a"' }));

/** Texts, numbers and booleans anywhere in a value. */
function leaves(value: Json): Json[] {
  if (typeof value !== 'object') return [value];
  return value === null ? [] : Object.values(value).flatMap(leaves);
}

test('no row that a filter takes is left out by its expression', () => {
  let narrowed = 0;
  let left = 0;
  fc.assert(
    fc.property(
      fc.array(fc.oneof(metadata, untold), { minLength: 1, maxLength: 4 }),
      filters,
      (rows, json) => {
        // Values that are there are asked for, too, wherever they may be.
        const asked = rows.flatMap(leaves).flatMap((value) => PATHS.map((p) => ({ [p]: value })));
        for (const question of [json, ...asked]) {
          const filter = parseFilter(question, { field: 'filter' });
          const expression = narrowing('default', { filter, entity: undefined });
          if (expression === undefined) continue;
          narrowed++;
          const matches = compileFilter(filter);
          for (const row of rows) {
            const isPassed = passes(expression, tagsOf(row));
            if (!isPassed) left++;
            if (matches(row)) assert.ok(isPassed, `${JSON.stringify(row)}: ${expression}`);
          }
        }
      },
    ),
    { numRuns: 300 },
  );
  assert.ok(narrowed > 100 && left > 100, `${narrowed} expressions left out ${left} rows`);
});

test('an entity is asked for by its partition key', () => {
  const scope = { filter: undefined, entity: 'user/1' };
  assert.equal(narrowing('default', scope), 'entity_key == "user/1"');
  assert.equal(narrowing('acme', scope), 'entity_key == "acme:user/1"');
  assert.equal(narrowing('acme', { filter: undefined, entity: undefined }), undefined);
});
