import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newRecord } from '../contract.ts';
import { SimulatedDisk } from '../testing/simulated-disk.ts';
import { openEmbeddedLog, openEmbeddedReader } from './open.ts';

const DIR = '/data';
const READ = { maxBytes: 1024 * 1024 };

function openOn(
  disk: SimulatedDisk,
  more: { segmentBytes?: number; appendQueueBytesMax?: number } = {},
) {
  const fileSystem = disk.boot();
  return openEmbeddedLog({ dir: DIR, partitions: 2, lock: false, fileSystem, ...more });
}

async function numbersOf(
  disk: SimulatedDisk,
  log: Awaited<ReturnType<typeof openOn>>,
  partition: number,
) {
  const reader = await openEmbeddedReader({
    dir: DIR,
    shared: log.shared,
    fileSystem: disk.current,
  });
  const records = await reader.read(partition, 0, READ);
  await reader.close();
  return records.map((record) => Number(record.key.slice(5)));
}

function usedBytes(disk: SimulatedDisk): number {
  return disk.files().reduce((sum, file) => sum + disk.bytesOf(file).length, 0);
}

for (const segmentBytes of [4096, 1024 * 1024]) {
  test(`a full disk is said, reads go on, and space is all it takes (${segmentBytes} B)`, async () => {
    const disk = new SimulatedDisk();
    const log = await openOn(disk, { segmentBytes });
    let n = 0;
    const next = () => newRecord(0, n++, Buffer.alloc(300, n));
    const acknowledged: number[] = [];
    const append = async (): Promise<void> => {
      const record = next();
      const [offset] = await log.writer.append([record]);
      assert.equal(offset, acknowledged.length);
      acknowledged.push(Number(record.key.slice(5)));
    };
    for (let i = 0; i < 20; i++) await append();
    for (let room = 0; room < 1200; room += 37) {
      disk.faults.capacityBytes = usedBytes(disk) + room;
      for (let i = 0; i < 6; i++) {
        try {
          await append();
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'storage_full');
        }
      }
      await assert.rejects(log.writer.append([next(), next(), next(), next()]), {
        code: 'storage_full',
      });
      disk.faults.capacityBytes = Number.POSITIVE_INFINITY;
      await append();
      assert.deepEqual(await numbersOf(disk, log, 0), acknowledged);
    }
    await log.writer.close();
    disk.losePower(() => 0.7);
    const again = await openOn(disk, { segmentBytes });
    assert.deepEqual(await numbersOf(disk, again, 0), acknowledged);
    await again.writer.close();
  });
}

test('a failed sync acknowledges nothing, and what follows does not rely on its pages', async () => {
  const disk = new SimulatedDisk();
  const log = await openOn(disk);
  await log.writer.append([newRecord(0, 1, 'a')]);
  disk.faults.sync = { pattern: /segment$/, code: 'EIO' };
  const failing = [
    log.writer.append([newRecord(0, 2, 'b')]),
    log.writer.append([newRecord(1, 3, 'c')]),
  ];
  for (const one of failing) await assert.rejects(one, { code: 'storage_unavailable' });
  await assert.rejects(log.writer.append([newRecord(0, 4, 'd')]), { code: 'storage_unavailable' });
  assert.deepEqual(await numbersOf(disk, log, 0), [1]);
  disk.faults.sync = undefined;
  assert.deepEqual(await log.writer.append([newRecord(0, 5, 'e'), newRecord(1, 6, 'f')]), [1, 0]);
  assert.equal(log.writer.segments().length, 2, 'the failed segment is not written again');
  disk.losePower(() => 0.9);
  const again = await openOn(disk);
  assert.deepEqual(await numbersOf(disk, again, 0), [1, 5]);
  assert.deepEqual(await numbersOf(disk, again, 1), [6]);
  await again.writer.close();
});

test('what is durable but not in the index yet is shown as soon as the index can be written', async () => {
  const disk = new SimulatedDisk();
  const log = await openOn(disk);
  await log.writer.append([newRecord(0, 1, 'a')]);
  disk.faults.write = { pattern: /index$/, code: 'ENOSPC' };
  assert.deepEqual(await log.writer.append([newRecord(0, 2, 'b')]), [1]);
  assert.deepEqual(await log.writer.bounds(0), { start: 0, end: 1 });
  await assert.rejects(log.writer.append([newRecord(0, 3, 'c')]), { code: 'storage_full' });
  disk.faults.write = undefined;
  assert.deepEqual(await log.writer.append([newRecord(0, 4, 'd')]), [2]);
  assert.deepEqual(await numbersOf(disk, log, 0), [1, 2, 4]);
  await log.writer.close();
});

test('a disk that can not be written is said when the log is opened', async () => {
  const disk = new SimulatedDisk();
  disk.faults.write = { pattern: /./, code: 'EROFS' };
  await assert.rejects(openOn(disk), {
    code: 'storage_unavailable',
    message: /can not be written/,
  });
});

test('more than the bound of waiting bytes is refused at once, and taken later', async () => {
  const disk = new SimulatedDisk();
  const log = await openOn(disk, { appendQueueBytesMax: 4096 });
  const value = Buffer.alloc(1500);
  const first = log.writer.append([newRecord(0, 1, value), newRecord(1, 2, value)]);
  await assert.rejects(log.writer.append([newRecord(0, 3, value)]), { code: 'overloaded' });
  assert.deepEqual(await first, [0, 0]);
  assert.deepEqual(await log.writer.append([newRecord(0, 4, value)]), [1]);
  await log.writer.close();
});
