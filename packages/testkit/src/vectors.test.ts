import assert from 'node:assert/strict';
import { test } from 'node:test';
import { vectorMatrix } from './vectors.ts';

test('vectors repeat from their seed and have length 1', () => {
  const [a, b, other] = [7, 7, 8].map((seed) => vectorMatrix(20, { seed, dimensions: 64 }));
  assert.deepEqual(a, b);
  assert.notDeepEqual(a, other);
  for (let i = 0; i < 20; i++) {
    const norm = Math.hypot(...a!.subarray(i * 64, (i + 1) * 64));
    assert.ok(Math.abs(norm - 1) < 1e-5);
  }
});

test('their intrinsic dimension is about 30', () => {
  const DIMENSIONS = 768;
  const ROWS = 4_000;
  const NEIGHBOURS = 20;
  const rows = vectorMatrix(ROWS, { seed: 1, dimensions: DIMENSIONS, clusters: 4 });
  const estimates: number[] = [];
  for (let q = 0; q < 40; q++) {
    const distances: number[] = [];
    for (let i = 0; i < ROWS; i++) {
      if (i === q) continue;
      let dot = 0;
      for (let d = 0; d < DIMENSIONS; d++) {
        dot += rows[q * DIMENSIONS + d]! * rows[i * DIMENSIONS + d]!;
      }
      distances.push(Math.sqrt(Math.max(0, 2 - 2 * dot)));
    }
    distances.sort((x, y) => x - y);
    // Levina and Bickel 2004, from the nearest neighbours within a cluster.
    const last = distances[NEIGHBOURS - 1]!;
    const sum = distances.slice(0, NEIGHBOURS - 1).reduce((s, d) => s + Math.log(last / d), 0);
    estimates.push((NEIGHBOURS - 2) / sum);
  }
  const mean = estimates.reduce((a, b) => a + b, 0) / estimates.length;
  assert.ok(mean > 22 && mean < 38, `about ${mean.toFixed(1)}`);
});
