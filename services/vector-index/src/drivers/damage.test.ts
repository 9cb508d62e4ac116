import assert from 'node:assert/strict';
import { cpSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { testSeed } from '@memplane/testkit';
import { folders, LINES, SmallIndex } from '../testing/small-index.ts';

const HEADER_BYTES = 4096;

/** The answers of an index that never met any harm. */
function whole(folder: string, to: number): unknown {
  const index = new SmallIndex(folder).apply(to);
  const answers = index.answers();
  index.generation.close();
  return answers;
}

const FILES = ['rows.bin', 'codes.bin', 'vectors.bin'].map((name) => `tenants/default/${name}`);

test('a file that was cut short is found when the index opens, which begins anew', (t) => {
  const folder = folders(t);
  const expected = whole(folder('whole'), LINES);
  for (const file of FILES) {
    cpSync(folder('whole'), folder('cut'), { recursive: true });
    const path = join(folder('cut'), file);
    truncateSync(path, HEADER_BYTES + Math.floor((readFileSync(path).length - HEADER_BYTES) / 3));
    const index = new SmallIndex(folder('cut'));
    assert.deepEqual([index.damaged, index.applied], [1, -1], file);
    assert.deepEqual(index.apply(LINES).answers(), expected, file);
    index.generation.close();
    rmSync(folder('cut'), { recursive: true });
  }
});

test('whatever bytes change or are lost as zeros, no answer changes', (t) => {
  const random = testSeed('flipped bytes');
  const folder = folders(t);
  const expected = whole(folder('whole'), LINES);
  const found = new Map<string, number>();
  for (let round = 0; round < 36; round++) {
    const file = FILES[round % FILES.length] as string;
    cpSync(folder('whole'), folder('harm'), { recursive: true });
    const path = join(folder('harm'), file);
    const bytes = readFileSync(path);
    // codes.bin is mostly holes: its four areas are aimed at.
    const area = HEADER_BYTES + random.pick([0, 4, 8, 40]) * 8192;
    const from = file.endsWith('codes.bin') ? area : 0;
    const at =
      from + random.int(0, Math.min(bytes.length - from, from === 0 ? Infinity : 1200) - 1);
    if (random.chance(0.5)) bytes[at] = (bytes[at] as number) ^ (1 << random.int(0, 7));
    else bytes.subarray(at, at + 4096).fill(0);
    writeFileSync(path, bytes);
    const index = new SmallIndex(folder('harm'));
    try {
      if (index.damaged > 0) index.apply(LINES);
      assert.deepEqual(index.answers(), expected, `${file} at ${at}`);
    } catch (error) {
      // A stored vector is checked when it is read: the search fails, the index begins anew.
      assert.equal((error as { code?: string }).code, 'storage_damaged', `${file} at ${at}`);
      assert.equal(index.generation.damage, error);
      index.generation.startOver({ logId: 'log', epoch: 0, partitions: 1 });
      assert.equal(index.generation.damage, undefined);
      assert.deepEqual(index.apply(LINES).answers(), expected, `${file} at ${at}`);
      index.damaged++;
    }
    if (index.damaged > 0) found.set(file, (found.get(file) ?? 0) + 1);
    index.generation.close();
    rmSync(folder('harm'), { recursive: true });
  }
  for (const file of FILES) assert.ok((found.get(file) ?? 0) > 0, `${file} was harmed for real`);
});

test('files older than the commit are found; files newer than the commit do no harm', (t) => {
  const folder = folders(t);
  const half = 16 * 12;
  const expected = whole(folder('new'), LINES);
  const expectedHalf = whole(folder('old'), half);
  for (const file of FILES) {
    // The database reached the disk, the tail of this file did not.
    cpSync(folder('new'), folder('mixed'), { recursive: true });
    cpSync(join(folder('old'), file), join(folder('mixed'), file));
    const index = new SmallIndex(folder('mixed'));
    assert.equal(index.damaged, 1, file);
    assert.deepEqual(index.apply(LINES).answers(), expected, file);
    index.generation.close();
    rmSync(folder('mixed'), { recursive: true });
  }
  // The files reached the disk, the newest commits of the database did not.
  cpSync(folder('old'), folder('mixed'), { recursive: true });
  for (const file of FILES) cpSync(join(folder('new'), file), join(folder('mixed'), file));
  const index = new SmallIndex(folder('mixed'));
  assert.deepEqual([index.damaged, index.applied], [0, half - 1]);
  assert.deepEqual(index.answers(), expectedHalf);
  assert.deepEqual(index.apply(LINES).answers(), expected);
  index.generation.close();
  const again = new SmallIndex(folder('mixed'));
  assert.equal(again.damaged, 0);
  assert.deepEqual(again.answers(), expected);
  again.generation.close();
});

test('marks of superseded rows that never reached the disk are found', (t) => {
  const folder = folders(t);
  const expected = whole(folder('whole'), LINES);
  const path = join(folder('whole'), 'tenants/default/rows.bin');
  const bytes = readFileSync(path);
  const marked: number[] = [];
  for (let at = HEADER_BYTES + 24; at < bytes.length; at += 32) {
    if (Number.isFinite(bytes.readDoubleLE(at))) marked.push(at);
  }
  assert.ok(marked.length > 100);
  bytes.writeDoubleLE(Infinity, marked[marked.length >>> 1] ?? 0);
  writeFileSync(path, bytes);
  const index = new SmallIndex(folder('whole'));
  assert.equal(index.damaged, 1);
  assert.deepEqual(index.apply(LINES).answers(), expected);
  index.generation.close();
});

test('a database that is no database, and one of another format, begin anew', (t) => {
  const folder = folders(t);
  const expected = whole(folder('whole'), LINES);
  writeFileSync(join(folder('whole'), 'index.db'), Buffer.alloc(8192, 'x'));
  const index = new SmallIndex(folder('whole'));
  assert.equal(index.damaged, 1);
  assert.deepEqual(index.apply(LINES).answers(), expected);
  index.generation.close();
});
