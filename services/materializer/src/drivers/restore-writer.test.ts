import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { RocksStore } from '@memplane/rocks';
import { eventually, ScratchFolder } from '@memplane/testkit';
import { PLANE, shardRange, toKey } from '../domain/keys.ts';
import { RestoreWriter } from './restore-writer.ts';
import { shardKey } from './view-store.ts';

const PARTITIONS = 6;
const ROWS = 6_000;
const VALUE_BYTES = 500;
/** Some batches, so that those of several shards come together in one. */
const WRITE_BUFFER_BYTES = 4 * 1024 * 1024;

const keyOf = (tenant: string, partition: number, n: number) =>
  Buffer.concat([shardRange(tenant, partition).gte, toKey(`i${String(n).padStart(9, '0')}`)]);

async function fill(rocks: RocksStore, partition: number): Promise<void> {
  const writer = new RestoreWriter(rocks);
  for (let n = 0; n < ROWS / 10; n++) {
    writer.keep(keyOf(PLANE, partition, n), randomBytes(VALUE_BYTES));
  }
  for (let n = 0; n < ROWS; n++) {
    await writer.room();
    writer.put(keyOf('default', partition, n), randomBytes(VALUE_BYTES));
  }
  await writer.end(shardKey(partition), Buffer.from('record'));
}

/** Keys that compaction has read, of the table of levels that RocksDB keeps. */
async function mergedKeys(rocks: RocksStore): Promise<string[]> {
  const lines = ((await rocks.property('rocksdb.stats')) ?? '').split('\n');
  const words = (line: string) => line.trim().split(/\s+/);
  const header = lines.find((line) => /^Level\s+Files/.test(line)) ?? '';
  // A size is two words: number and unit.
  const at = words(header).indexOf('KeyIn') + 1;
  assert.ok(at > 1, header);
  return lines.filter((line) => /^\s+L[1-9]\s/.test(line)).map((line) => words(line)[at] ?? '');
}

async function calm(rocks: RocksStore): Promise<void> {
  await eventually('compaction rests', 30_000, async () => {
    const names = ['rocksdb.compaction-pending', 'rocksdb.num-running-compactions'];
    const counts = await Promise.all(names.map((name) => rocks.property(name)));
    return counts.every((count) => count === '0') ? true : undefined;
  });
}

async function withRocks(work: (rocks: RocksStore) => Promise<void>): Promise<void> {
  using folder = new ScratchFolder('restore-writer');
  const rocks = await RocksStore.open(folder.path, { writeBufferBytes: WRITE_BUFFER_BYTES });
  try {
    await work(rocks);
  } finally {
    await rocks.close();
  }
}

test('shards that are restored one after the other are there, and no file of theirs is merged', () =>
  withRocks(async (rocks) => {
    for (let partition = 0; partition < PARTITIONS; partition++) await fill(rocks, partition);
    for (let partition = 0; partition < PARTITIONS; partition++) {
      let rows = 0;
      for (const tenant of [PLANE, 'default']) {
        for await (const chunk of rocks.scan(shardRange(tenant, partition))) rows += chunk.length;
      }
      assert.equal(rows, ROWS + ROWS / 10 + 1);
    }
    await calm(rocks);
    const merged = await mergedKeys(rocks);
    assert.ok(merged.length > 0, 'files were moved down');
    assert.deepEqual(new Set(merged), new Set(['0']));
  }));

test('files of shards that are restored at once are merged: the check above can tell', () =>
  withRocks(async (rocks) => {
    await Promise.all(Array.from({ length: PARTITIONS }, (_, partition) => fill(rocks, partition)));
    await calm(rocks);
    assert.ok((await mergedKeys(rocks)).some((keys) => keys !== '0'));
  }));
