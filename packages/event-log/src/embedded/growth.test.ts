import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isForeign } from '../lineage.ts';
import { partitionOf } from '../murmur2.ts';
import type { LogReader, NewRecord } from '../port.ts';
import { type EmbeddedLog, openEmbeddedLog, openEmbeddedReader } from './open.ts';

let stamp = 1n;

function record(key: string, n: number, partitions: number): NewRecord {
  return {
    partition: partitionOf(key, partitions),
    key,
    value: Buffer.from(`${n}`),
    hlc: stamp++,
    idDigest: randomBytes(16),
    contentDigest: randomBytes(16),
  };
}

/** Appends the next number of each of some keys. */
async function appendAll({ writer }: EmbeddedLog, count: number, round: number): Promise<void> {
  const keys = Array.from({ length: count }, (_, i) => `user/${i}`);
  await writer.append(keys.map((key) => record(key, round, writer.info.partitions)));
}

/** By key: the values in the order in which the log's readers see them, each once. */
async function readAll(reader: LogReader): Promise<Map<string, string[]>> {
  const seen = new Map<string, string[]>();
  const { partitions } = reader.info;
  for (let p = 0; p < partitions; p++) {
    const { start, end } = await reader.bounds(p);
    for (let at = start; at < end; ) {
      const records = await reader.read(p, at, { maxBytes: 64 });
      assert.ok(records.length > 0, `nothing at ${p}/${at}`);
      for (const { partition, offset, key, value } of records) {
        assert.equal(partition, p);
        assert.equal(offset, at++);
        if (isForeign(key, p, partitions)) continue;
        seen.set(key, [...(seen.get(key) ?? []), value.toString()]);
      }
    }
  }
  return seen;
}

const KEYS = 40;

async function checkAll(reader: LogReader, rounds: number): Promise<void> {
  const seen = await readAll(reader);
  assert.equal(seen.size, KEYS);
  const all = Array.from({ length: rounds }, (_, round) => String(round));
  for (const [key, values] of seen) assert.deepEqual(values, all, key);
}

test('a log grows again and again, in use and across restarts, and keeps all in order', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'memplane-growth-'));
  const options = { dir, partitions: 3, segmentBytes: 8192 };
  try {
    let log = await openEmbeddedLog(options);
    const shared = await openEmbeddedReader({ dir, shared: log.shared });
    const polling = await openEmbeddedReader({ dir });
    for (let round = 0; round < 5; round++) await appendAll(log, KEYS, round);
    const before = log.writer.info;
    const grown = await log.growth.grow();
    assert.deepEqual(
      { ...grown, lineage: undefined },
      { ...before, epoch: 1, partitions: 6, lineage: undefined },
    );
    for (let round = 5; round < 12; round++) await appendAll(log, KEYS, round);
    for (const reader of [shared, polling]) {
      await reader.bounds(0); // one of another process learns by looking
      await checkAll(reader, 12);
      assert.deepEqual(reader.info, grown);
      await reader.close();
    }
    await log.writer.close();
    log = await openEmbeddedLog(options);
    assert.deepEqual(log.writer.info, grown);
    await appendAll(log, KEYS, 12);
    await log.growth.grow();
    await log.writer.close();
    log = await openEmbeddedLog({ ...options, partitions: 1 });
    assert.equal(log.writer.info.partitions, 12);
    for (let round = 13; round < 40; round++) await appendAll(log, KEYS, round);
    const reader = await openEmbeddedReader({ dir, shared: log.shared });
    await checkAll(reader, 40);
    for (let p = 0; p < 12; p++) {
      const { end } = await reader.bounds(p);
      assert.equal(await reader.offsetSince(p, 0), 0);
      assert.equal(await reader.offsetSince(p, 1e13), end);
    }
    await reader.close();
    await log.writer.close();
  } finally {
    await rm(dir, { recursive: true, force: true, maxRetries: 3 });
  }
});

test('what waits to be appended while the log grows is told to wait, and lost by nobody', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'memplane-growth-'));
  try {
    const log = await openEmbeddedLog({ dir, partitions: 2 });
    const { writer, growth } = log;
    const underWay = appendAll(log, KEYS, 0);
    const grown = growth.grow();
    assert.equal(growth.grow(), grown, 'one doubling at a time');
    assert.ok(writer.growing !== undefined);
    await assert.rejects(writer.append([record('user/0', 9, 2)]), { code: 'overloaded' });
    await Promise.all([underWay, grown, writer.growing]);
    assert.equal(writer.growing, undefined);
    await appendAll(log, KEYS, 1);
    const reader = await openEmbeddedReader({ dir, shared: log.shared });
    await checkAll(reader, 2);
    await reader.close();
    await writer.close();
  } finally {
    await rm(dir, { recursive: true, force: true, maxRetries: 3 });
  }
});

test('trimming a parent moves the start of its child until the child has records of its own', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'memplane-growth-'));
  try {
    const log = await openEmbeddedLog({ dir, partitions: 1 });
    await appendAll(log, KEYS, 0);
    await log.growth.grow();
    await appendAll(log, KEYS, 1);
    const reader = await openEmbeddedReader({ dir, shared: log.shared });
    const { end } = await reader.bounds(1);
    assert.ok(end > KEYS && end < 2 * KEYS);
    await log.admin.deleteRecordsBefore(0, 10);
    assert.equal((await reader.bounds(1)).start, 10);
    await assert.rejects(reader.read(1, 9, { maxBytes: 1 }), { code: 'history_expired' });
    await log.admin.deleteRecordsBefore(0, KEYS + 3);
    assert.equal((await reader.bounds(1)).start, KEYS);
    await log.admin.deleteRecordsBefore(1, KEYS + 1);
    assert.equal((await reader.bounds(1)).start, KEYS + 1);
    const manifest = JSON.parse(await readFile(join(dir, 'manifest.json'), 'utf8'));
    assert.equal(manifest.format, 2, 'who knows no growth refuses it');
    await reader.close();
    await log.writer.close();
  } finally {
    await rm(dir, { recursive: true, force: true, maxRetries: 3 });
  }
});
