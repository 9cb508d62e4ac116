import assert from 'node:assert/strict';
import { test } from 'node:test';
import { outdatedPages, referencePages } from '../../scripts/reference.ts';

test('docs/reference says what the sources say', async () => {
  assert.deepEqual(await outdatedPages(), [], 'run: node scripts/reference.ts');
});

test('every service has operations, every topic a payload', () => {
  for (const [name, text] of referencePages()) {
    if (!name.endsWith('.json')) continue;
    const document = JSON.parse(text) as Record<string, Record<string, unknown>>;
    assert.ok(Object.keys(document['paths'] ?? document['channels'] ?? {}).length > 0, name);
  }
});
