import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { compileFilter, parseFilter } from '@memplane/filter';
import fc from 'fast-check';
import { Database } from '../drivers/database.ts';
import { StoredFieldIndex } from '../drivers/field-index.ts';
import { filters, metadata } from '../testing/filter-arbitraries.ts';
import { fieldEntries } from './field-entries.ts';
import { filterRows } from './filter-rows.ts';

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
