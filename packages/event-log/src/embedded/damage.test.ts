import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newRecord } from '../contract.ts';
import type { NewRecord } from '../port.ts';
import { SimulatedDisk } from '../testing/simulated-disk.ts';
import { openEmbeddedLog, openEmbeddedReader } from './open.ts';

const DIR = '/data';
const JOURNAL = '/data/journal/0000000001.segment';

function batchOf(first: number, sizes: readonly number[]): NewRecord[] {
  return sizes.map((size, i) => newRecord(i % 2, first + i, Buffer.alloc(size, first + i)));
}

function openOn(disk: SimulatedDisk, segmentBytes = 1024 * 1024) {
  const fileSystem = disk.boot();
  return openEmbeddedLog({ dir: DIR, partitions: 2, segmentBytes, lock: false, fileSystem });
}

/** Two commits; `before` is the disk as it was between them, but for the journal. */
async function twoCommits(lastSizes: readonly number[]) {
  const disk = new SimulatedDisk();
  const { writer } = await openOn(disk);
  const first = batchOf(0, [10, 20, 30]);
  await writer.append(first);
  const before = disk.snapshot();
  const start = disk.bytesOf(JOURNAL).length;
  const second = batchOf(100, lastSizes);
  await writer.append(second);
  const after = disk.snapshot();
  await writer.close();
  return { disk, first, second, before, after, start, whole: after.get(JOURNAL) as Buffer };
}

/** Reads all of a log; a damaged record counts as such and the next one is tried. */
async function readWhatCanBe(disk: SimulatedDisk, log: Awaited<ReturnType<typeof openOn>>) {
  const reader = await openEmbeddedReader({
    dir: DIR,
    shared: log.shared,
    fileSystem: disk.current,
  });
  const keys: string[] = [];
  const damage: Record<string, unknown>[] = [];
  for (let p = 0; p < 2; p++) {
    const { start, end } = await reader.bounds(p);
    for (let offset = start; offset < end; offset++) {
      try {
        const [record] = await reader.read(p, offset, { maxBytes: 1 });
        assert.equal(record?.offset, offset);
        const n = Number(record.key.slice(5));
        assert.ok(
          record.value.every((byte) => byte === n % 256),
          'no wrong value is served',
        );
        keys.push(record.key);
      } catch (error) {
        const { code, extra } = error as { code?: string; extra: Record<string, unknown> };
        if (code !== 'storage_damaged') throw error;
        damage.push(extra);
      }
    }
  }
  await reader.close();
  return { keys: keys.sort(), damage };
}

test('a commit torn at any byte is cut, and the log goes on', async () => {
  const { disk, first, before, start, whole } = await twoCommits([5, 0]);
  for (let length = start; length < whole.length; length++) {
    disk.restore(before);
    disk.setBytes(JOURNAL, whole.subarray(0, length));
    const log = await openOn(disk);
    assert.equal(log.report.tornBytes, length - start);
    const [offset] = await log.writer.append([newRecord(0, 7, Buffer.alloc(9, 7))]);
    assert.equal(offset, 2);
    const { keys, damage } = await readWhatCanBe(disk, log);
    assert.deepEqual(keys, [...first.map((record) => record.key), 'user/7'].sort());
    assert.deepEqual(damage, []);
    await log.writer.close();
  }
});

test('a commit with sectors that never reached the disk is cut', async () => {
  const { disk, first, before, start, whole } = await twoCommits([900, 700]);
  for (let sector = Math.ceil(start / 512); sector * 512 < whole.length; sector++) {
    disk.restore(before);
    const bytes = Buffer.from(whole);
    bytes.fill(0, sector * 512, Math.min((sector + 1) * 512, bytes.length));
    disk.setBytes(JOURNAL, bytes);
    const log = await openOn(disk);
    assert.equal(log.report.tornBytes, whole.length - start, `sector ${sector}`);
    const { keys } = await readWhatCanBe(disk, log);
    assert.deepEqual(keys, first.map((record) => record.key).sort());
    await log.writer.close();
  }
});

test('an acknowledged commit that is cut short is reported, not cut', async () => {
  const { disk, after, start, whole } = await twoCommits([5, 0]);
  for (let length = start; length < whole.length; length++) {
    disk.restore(after);
    disk.setBytes(JOURNAL, whole.subarray(0, length));
    await assert.rejects(openOn(disk), { code: 'storage_damaged' });
  }
});

test('a flipped byte in the last commit is never taken for a torn tail', async () => {
  const { disk, first, second, before, start, whole } = await twoCommits([5, 0, 40]);
  const all = [...first, ...second].map((record) => record.key).sort();
  for (let at = start; at < whole.length; at++) {
    disk.restore(before);
    const bytes = Buffer.from(whole);
    bytes[at] = (bytes[at] ?? 0) ^ 0x40;
    disk.setBytes(JOURNAL, bytes);
    let log: Awaited<ReturnType<typeof openOn>>;
    try {
      log = await openOn(disk);
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'storage_damaged', `byte ${at}`);
      continue;
    }
    assert.equal(log.report.tornBytes, 0, `byte ${at}`);
    const { keys, damage } = await readWhatCanBe(disk, log);
    assert.equal(keys.length + damage.length, all.length, `byte ${at}`);
    for (const key of keys) assert.ok(all.includes(key));
    const offsets = await log.writer.append([newRecord(0, 7, 'x')]);
    assert.deepEqual(offsets, [4]);
    await log.writer.close();
  }
});

test('a flipped byte in a record is reported with its place; all else is served', async () => {
  const { disk, first, second, after, whole } = await twoCommits([5, 0, 40]);
  const all = [...first, ...second].map((record) => record.key).sort();
  let reported = 0;
  for (let at = 92; at < whole.length; at++) {
    disk.restore(after);
    const bytes = Buffer.from(whole);
    bytes[at] = (bytes[at] ?? 0) ^ 0x01;
    disk.setBytes(JOURNAL, bytes);
    const log = await openOn(disk);
    const { keys, damage } = await readWhatCanBe(disk, log);
    assert.equal(keys.length + damage.length, all.length);
    assert.ok(damage.length <= 1);
    for (const place of damage) {
      reported += 1;
      assert.equal(place['segment'], 1);
      const position = place['position'] as number;
      assert.ok(position <= at && at < position + 200);
      assert.equal(typeof place['partition'], 'number');
      assert.equal(typeof place['offset'], 'number');
    }
    await log.writer.close();
  }
  const recordBytes = [...first, ...second].reduce(
    (sum, record) => sum + 68 + record.key.length + record.value.length,
    0,
  );
  assert.equal(reported, recordBytes, 'every byte of every record is watched over');
});

test('a flipped byte in an index never makes a wrong answer', async () => {
  const { disk, first, second, after } = await twoCommits([5, 0, 40]);
  const all = [...first, ...second].map((record) => record.key).sort();
  const file = '/data/index/p0000-00000000.index';
  const entries = after.get(file) as Buffer;
  for (let at = 0; at < entries.length; at++) {
    disk.restore(after);
    const bytes = Buffer.from(entries);
    bytes[at] = (bytes[at] ?? 0) ^ 0x10;
    disk.setBytes(file, bytes);
    const log = await openOn(disk);
    const { keys } = await readWhatCanBe(disk, log);
    // found at the start, as the checkpoint lies before it, and made anew from the journal
    assert.deepEqual(keys, all);
    await log.writer.close();
  }
});

test('a damaged entry of an index that counts as durable is found in the journal', async () => {
  const disk = new SimulatedDisk();
  const { writer } = await openOn(disk, 4096);
  for (let n = 0; n < 12; n++) await writer.append(batchOf(n * 4, [600, 600, 600, 600]));
  await writer.close();
  const whole = disk.snapshot();
  const file = '/data/index/p0000-00000000.index';
  const entries = whole.get(file) as Buffer;
  const openDamaged = async (damage: (bytes: Buffer) => void) => {
    disk.restore(whole);
    const bytes = Buffer.from(entries);
    damage(bytes);
    disk.setBytes(file, bytes);
    return openOn(disk, 4096);
  };
  for (let entry = 0; entry * 64 < entries.length; entry++) {
    const at = entry * 64 + ((entry * 13) % 64);
    const log = await openDamaged((bytes) => bytes.writeUInt8((bytes[at] ?? 0) ^ 0x10, at));
    const { keys, damage } = await readWhatCanBe(disk, log);
    assert.deepEqual([keys.length, damage], [48, []], `byte ${at}`);
    await log.writer.close();
  }
  const log = await openDamaged((bytes) => bytes.fill(0, 0, 512));
  const { keys, damage } = await readWhatCanBe(disk, log);
  assert.deepEqual([keys.length, damage], [48, []]);
  const reader = await openEmbeddedReader({
    dir: DIR,
    shared: log.shared,
    fileSystem: disk.current,
  });
  assert.equal(await reader.offsetSince(0, 1_790_000_000_001), 24);
  await reader.close();
  await log.writer.close();
});

test('a record that both its index entry and its bytes fail is reported', async () => {
  const disk = new SimulatedDisk();
  const { writer } = await openOn(disk, 4096);
  for (let n = 0; n < 12; n++) await writer.append(batchOf(n * 4, [600, 600, 600, 600]));
  await writer.close();
  disk.bytesOf('/data/index/p0000-00000000.index').fill(0xee, 0, 1);
  disk.bytesOf(JOURNAL).fill(0xee, 600, 601);
  const log = await openOn(disk, 4096);
  const { keys, damage } = await readWhatCanBe(disk, log);
  assert.equal(keys.length, 47);
  assert.deepEqual(damage, [{ partition: 0, offset: 0 }]);
  await log.writer.close();
});

test('damaged and missing segments and manifests are told, not passed over', async () => {
  const disk = new SimulatedDisk();
  const { writer } = await openOn(disk, 4096);
  for (let n = 0; n < 12; n++) await writer.append(batchOf(n * 4, [600, 600, 600, 600]));
  await writer.close();
  const whole = disk.snapshot();
  const segments = disk.files().filter((file) => file.endsWith('.segment'));
  assert.ok(segments.length > 4);
  const without = (file: string) => new Map([...whole].filter(([name]) => name !== file));
  disk.restore(without(segments[2] ?? ''));
  await assert.rejects(openOn(disk, 4096), { code: 'storage_damaged' });
  disk.restore(without('/data/manifest.json'));
  await assert.rejects(openOn(disk, 4096), { code: 'storage_damaged' });
  disk.restore(whole);
  disk.bytesOf(segments[3] ?? '').fill(0xee, 20, 21);
  await assert.rejects(openOn(disk, 4096), {
    code: 'storage_damaged',
    extra: { segment: 4, position: 0 },
  });
});

test('zeros in a closed segment are damage, not a torn tail', async () => {
  const disk = new SimulatedDisk();
  const { writer } = await openOn(disk, 4096);
  for (let n = 0; n < 12; n++) await writer.append(batchOf(n * 4, [600, 600, 600, 600]));
  await writer.close();
  const bytes = disk.bytesOf('/data/journal/0000000003.segment');
  bytes.fill(0, 92, 1024);
  const left = [...disk.snapshot()].filter(([name]) => !name.endsWith('.index'));
  disk.restore(new Map(left));
  await assert.rejects(openOn(disk, 4096), {
    code: 'storage_damaged',
    extra: { segment: 3, position: 92 },
  });
});

test('indexes that are lost are made anew from the journal', async () => {
  const disk = new SimulatedDisk();
  const { writer } = await openOn(disk, 4096);
  for (let n = 0; n < 12; n++) await writer.append(batchOf(n * 4, [600, 600, 600, 600]));
  await writer.close();
  const whole = disk.snapshot();
  const without = [...whole].filter(([name]) => !name.endsWith('.index') && !name.endsWith('mark'));
  disk.restore(new Map(without));
  const log = await openOn(disk, 4096);
  const { keys, damage } = await readWhatCanBe(disk, log);
  assert.equal(keys.length, 48);
  assert.deepEqual(damage, []);
  await log.writer.close();
  assert.ok(
    disk
      .bytesOf('/data/index/p0000-00000000.index')
      .equals(whole.get('/data/index/p0000-00000000.index') as Buffer),
  );
});
