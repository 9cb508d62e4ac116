import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { ExactVectors } from './exact-vectors.ts';
import { VectorCache } from './vector-cache.ts';

const DIMENSIONS = 4;
const BYTES = DIMENSIONS * Float32Array.BYTES_PER_ELEMENT;
const ONE = new Float32Array([1, 0, 0, 0]);

/** Told by its first number. */
const vectorOf = (value: number) => new Float32Array([value, 1, 1, 1]);

test('what is used stays, what was not used for longest goes', () => {
  const cache = new VectorCache(DIMENSIONS, 3 * BYTES);
  const [a, b] = [cache.file(), cache.file()];
  for (const row of [0, 1, 2]) a.keep(row, vectorOf(row));
  assert.equal(a.score(1, ONE), 1);
  assert.equal(b.score(1, ONE), undefined, 'another file');
  b.keep(1, vectorOf(7));
  b.keep(2, vectorOf(8));
  assert.equal(a.score(1, ONE), 1);
  assert.equal(a.score(0, ONE) ?? a.score(2, ONE), undefined);
  assert.equal(b.score(1, ONE), 7);
  b.forget(1);
  assert.equal(b.score(1, ONE), undefined);
});

test('scores are those of the file, whatever was written and read, and with no cache too', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'memplane-exact-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  let files = 0;
  const steps = fc.array(
    fc.record({ row: fc.nat(8), value: fc.option(fc.nat(99), { nil: undefined }) }),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(steps, fc.nat(5), (all, places) => {
      const cache = new VectorCache(DIMENSIONS, places * BYTES);
      const exact = new ExactVectors(join(dir, `${files++}`), DIMENSIONS, cache.file());
      const written = new Map<number, number>();
      for (const { row, value } of all) {
        if (value !== undefined) {
          exact.write(row, vectorOf(value));
          written.set(row, value);
        } else if (written.has(row)) {
          assert.equal(exact.score(row, ONE), written.get(row));
        }
      }
      exact.close();
    }),
    { numRuns: 100 },
  );
});
