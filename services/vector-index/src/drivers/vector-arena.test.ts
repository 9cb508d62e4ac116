import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { clusteredVectors } from '@memplane/testkit';
import { Bitmap } from '../domain/bitmap.ts';
import { ChunkChecks } from './chunk-checks.ts';
import { VectorArena } from './vector-arena.ts';

const DIMENSIONS = 96;
const ROWS = 9_000;
const before = (a: number, b: number) => a - b;

const sums = new Map<string, string>();
const store = {
  meta: (key: string) => sums.get(key),
  setMeta: (key: string, value: string) => void sums.set(key, value),
};

function arenaIn(folder: string, count: number, stage1 = 1024): VectorArena {
  if (count === 0) sums.clear();
  return new VectorArena(
    { folder, dimensions: DIMENSIONS, stage1_rows_min: stage1, direct_rows_max: 2048 },
    count,
    new ChunkChecks(store, 'codes:default'),
  );
}

test('nearest rows: right at every selectivity, and the same after reading back', () => {
  const folder = mkdtempSync(join(tmpdir(), 'arena-'));
  try {
    const source = clusteredVectors({ seed: 1, dimensions: DIMENSIONS });
    const rows = Array.from({ length: ROWS }, () => {
      const vector = new Float32Array(DIMENSIONS);
      source.next(vector);
      return vector;
    });
    const arena = arenaIn(folder, 0);
    rows.forEach((vector, i) => {
      // row numbers need not be vector numbers
      arena.add(i * 2, vector);
      if (i % 777 === 0) arena.flush();
    });
    arena.flush();
    const queries = clusteredVectors({ seed: 2, dimensions: DIMENSIONS });
    for (const every of [1, 10, 100, 1000]) {
      const allowed = Bitmap.of([...rows.keys()].filter((i) => i % every === 0).map((i) => i * 2));
      let found = 0;
      let wanted = 0;
      const answers: unknown[] = [];
      for (let q = 0; q < 20; q++) {
        const query = new Float32Array(DIMENSIONS);
        queries.next(query);
        const exact = [...rows.keys()]
          .filter((i) => i % every === 0)
          .map((i) => [i * 2, rows[i]!.reduce((sum, x, d) => sum + x * query[d]!, 0)] as const)
          .sort((a, b) => b[1] - a[1])
          .slice(0, 10)
          .map(([row]) => row);
        const near = arena.nearest(query, 10, allowed, allowed.count(), ROWS * 2, before);
        answers.push(near);
        // The rarest filter leaves fewer than ten rows.
        wanted += exact.length;
        found += near.filter(({ row }) => exact.includes(row)).length;
      }
      assert.ok(found / wanted >= 0.95, `recall at 1/${every}: ${found / wanted}`);
      const again = arenaIn(folder, ROWS);
      const repeats = clusteredVectors({ seed: 2, dimensions: DIMENSIONS });
      for (let q = 0; q < (every === 1 ? 20 : 0); q++) {
        const query = new Float32Array(DIMENSIONS);
        repeats.next(query);
        const near = again.nearest(query, 10, allowed, allowed.count(), ROWS * 2, before);
        assert.deepEqual(near, answers[q]);
      }
      again.close();
    }
    arena.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('equal vectors come in the order of the log, at every stage', () => {
  const folder = mkdtempSync(join(tmpdir(), 'arena-'));
  try {
    const arena = arenaIn(folder, 0, 64);
    const vector = new Float32Array(DIMENSIONS).fill(1 / Math.sqrt(DIMENSIONS));
    for (let row = 0; row < 5000; row++) arena.add(row, vector);
    arena.flush();
    // The log has them the other way round.
    const near = arena.nearest(vector, 7, Bitmap.full(5000), 5000, 5000, (a, b) => b - a);
    assert.deepEqual(
      near.map(({ row }) => row),
      [4999, 4998, 4997, 4996, 4995, 4994, 4993],
    );
    arena.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a flipped bit in a stored vector is reported, never served', () => {
  const folder = mkdtempSync(join(tmpdir(), 'arena-'));
  try {
    const arena = arenaIn(folder, 0);
    const vector = new Float32Array(DIMENSIONS).fill(1 / Math.sqrt(DIMENSIONS));
    arena.add(0, vector);
    arena.flush();
    const path = join(folder, 'vectors.bin');
    const bytes = readFileSync(path);
    bytes[4096 + 17]! ^= 4;
    writeFileSync(path, bytes);
    assert.throws(() => arena.nearest(vector, 1, Bitmap.full(1), 1, 1, before), {
      code: 'storage_damaged',
    });
    arena.close();
    assert.throws(() => arenaIn(folder, 2), { code: 'storage_damaged' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('rows that came after the cut do not show, however many there are', () => {
  const folder = mkdtempSync(join(tmpdir(), 'arena-'));
  try {
    const arena = arenaIn(folder, 0, 64);
    const vector = new Float32Array(DIMENSIONS).fill(1 / Math.sqrt(DIMENSIONS));
    for (let row = 0; row < 100; row++) arena.add(row, vector);
    const live = Bitmap.full(100);
    for (let row = 100; row < 9000; row++) arena.add(row, vector);
    arena.flush();
    const near = arena.nearest(vector, 200, live, 100, 100, before);
    assert.deepEqual(
      near.map(({ row }) => row),
      Array.from({ length: 100 }, (_, row) => row),
    );
    arena.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});
