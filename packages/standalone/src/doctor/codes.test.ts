import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { CHECKS } from './doctor.ts';

const PAGE = path.join(import.meta.dirname, '../../../../docs/operations.md');

/** All texts in the sources that are written as codes are. */
function codesInSources(): Set<string> {
  const files = globSync('checks/*.ts', { cwd: import.meta.dirname });
  const sources = files.map((file) => readFileSync(path.join(import.meta.dirname, file), 'utf8'));
  const written = /(?:[?:] |failing\()'([a-z]+(?:_[a-z]+)+)'/g;
  return new Set(
    sources.flatMap((text) => [...text.matchAll(written)].map(([, code]) => code ?? '')),
  );
}

test('docs/operations.md has every check and every code, and no others', () => {
  const page = readFileSync(PAGE, 'utf8').split('## Doctor')[1]?.split('\n## ')[0] ?? '';
  const rows = page.split('\n').filter((line) => line.startsWith('| '));
  const told = new Set(
    rows.flatMap((row) => [...(row.split('|')[2] ?? '').matchAll(/`(\w+)`/g)].map(([, it]) => it)),
  );
  const codes = codesInSources();
  assert.ok(codes.size >= 25, `${codes.size} codes`);
  assert.deepEqual([...told].sort(), [...codes].sort());
  for (const { name } of CHECKS)
    assert.ok(
      rows.some((row) => row.startsWith(`| ${name} |`)),
      name,
    );
});
