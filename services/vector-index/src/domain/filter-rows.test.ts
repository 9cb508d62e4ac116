import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Json } from '@memplane/contracts';
import { compileFilter, parseFilter } from '@memplane/filter';
import fc from 'fast-check';
import { Database } from '../drivers/database.ts';
import { StoredFieldIndex } from '../drivers/field-index.ts';
import { fieldEntries } from './field-entries.ts';
import { filterRows } from './filter-rows.ts';

type Metadata = { [key: string]: Json };

const names = fc.constantFrom('a', 'b', 'c', '0', 'a.b');
const scalars: fc.Arbitrary<Json> = fc.oneof(
  fc.constantFrom<Json>(null, true, false, 0, -0, 1, 2.5, -3, 1e300, 2 ** 53 + 2),
  fc.constantFrom<Json>('', 'x', 'y', 'é', '\u{1f600}', '\ud800', '\uffff', 'z'.repeat(300)),
);
const values: fc.Arbitrary<Json> = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    scalars,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(names, tie('value'), { maxKeys: 3, noNullPrototype: true }),
  ),
})).value;
const metadata = fc.dictionary(names, values, { maxKeys: 4, noNullPrototype: true });
const paths = fc.constantFrom('a', 'b', 'a.b', 'a.0', 'a.b.c', 'a.0.b', 'b.a', 'c');
const condition = fc.oneof(
  values.filter((value) => !JSON.stringify(value).includes('"$')),
  fc
    .record({ op: fc.constantFrom('$eq', '$ne', '$gt', '$gte', '$lt', '$lte'), value: values })
    .map(({ op, value }) => ({ [op]: value }) as Json),
  fc.array(values, { minLength: 1, maxLength: 3 }).map((list) => ({ $in: list }) as Json),
  fc.boolean().map((flag) => ({ $exists: flag }) as Json),
);
const filters: fc.Arbitrary<Metadata> = fc.letrec<{ filter: Metadata }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 2, depthSize: 'small' },
    fc.tuple(paths, condition).map(([path, value]) => ({ [path]: value })),
    fc
      .tuple(
        fc.constantFrom('$and', '$or'),
        fc.array(tie('filter'), { minLength: 1, maxLength: 2 }),
      )
      .map(([op, of]) => ({ [op]: of as Json })),
    tie('filter').map((of) => ({ $not: of as Json })),
  ),
})).filter;

test('the index of fields answers exactly what the compiled filter does, also after writes', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fields-'));
  const db = new Database(join(folder, 'index.db'), { cache_bytes_max: 1 << 20 });
  let world = 0;
  try {
    fc.assert(
      fc.property(
        fc.array(metadata, { minLength: 1, maxLength: 12 }),
        fc.array(filters, { minLength: 1, maxLength: 4 }),
        (rows, questions) => {
          const tenant = `t${world++}`;
          let count = 0;
          const index = new StoredFieldIndex(db, tenant, () => count, { cache_bytes_max: 20_000 });
          const insert = db.sql('INSERT INTO rows VALUES (?, ?, ?, ?, ?, 0, NULL, NULL, ?)');
          const parsed = questions.map((filter) => parseFilter(filter, { field: 'filter' }));
          for (const document of rows) {
            // Some rows have too many fields to be indexed.
            index.add(count, fieldEntries(document, 10));
            insert.run(tenant, count, 'e', 'm', String(count), JSON.stringify(document));
            count++;
            for (const filter of parsed) {
              const matches = compileFilter(filter);
              const expected = rows.slice(0, count).flatMap((row, i) => (matches(row) ? [i] : []));
              assert.deepEqual([...filterRows(filter, index)], expected);
            }
          }
        },
      ),
      { numRuns: 400 },
    );
  } finally {
    db.close();
    rmSync(folder, { recursive: true });
  }
});
