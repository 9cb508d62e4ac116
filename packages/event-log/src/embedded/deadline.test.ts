import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newRecord } from '../contract.ts';
import { LateAppendError } from '../port.ts';
import { SimulatedDisk } from '../testing/simulated-disk.ts';
import { openEmbeddedLog, openEmbeddedReader } from './open.ts';

const DEADLINE_MS = 500;

test('what waits behind a slow sync beyond the deadline is refused, and nothing of it stored', async () => {
  const disk = new SimulatedDisk();
  const fileSystem = disk.boot();
  let nowMs = 0;
  const { writer, shared } = await openEmbeddedLog({
    dir: '/data',
    partitions: 1,
    lock: false,
    fileSystem,
    produceDeadlineMs: DEADLINE_MS,
    monotonicMs: () => nowMs,
  });
  const hold = () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    disk.faults.hold = { pattern: /segment$/, until: promise };
    return resolve;
  };
  const append = (n: number) => writer.append([newRecord(0, n, `n ${n}`)]);
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  const release = hold();
  const slow = append(1);
  for (let i = 0; i < 10; i++) await turn();
  const late = append(2);
  nowMs += DEADLINE_MS + 1;
  const alsoRefused = append(3);
  const refused = Promise.all(
    [late, alsoRefused].map((one) => assert.rejects(one, LateAppendError)),
  );
  release();
  // Its commit had begun in time.
  assert.deepEqual(await slow, [0]);
  await refused;
  assert.equal(writer.waitingBytes, 0);

  const releaseNext = hold();
  const inTime = [append(4)];
  for (let i = 0; i < 10; i++) await turn();
  inTime.push(append(5));
  nowMs += DEADLINE_MS;
  releaseNext();
  assert.deepEqual(await Promise.all(inTime), [[1], [2]]);

  const reader = await openEmbeddedReader({ dir: '/data', shared, fileSystem });
  const records = await reader.read(0, 0, { maxBytes: 1024 });
  assert.deepEqual(
    records.map((record) => record.value.toString()),
    ['n 1', 'n 4', 'n 5'],
  );
  await reader.close();
  await writer.close();
});
