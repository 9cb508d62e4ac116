import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openEmbeddedLog, openEmbeddedReader } from './open.ts';

const LINEAGE = { partitionsInitial: 1, bases: [0, 3] };

test('a log that grew is made anew with the places that its records had', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'new-lineage-'));
  t.after(() => rm(dir, { recursive: true }));
  const options = { dir, partitions: 2, newEpoch: 1, newStarts: [0, 3], newLineage: LINEAGE };
  let log = await openEmbeddedLog(options);
  const record = (partition: number, n: number) => ({
    partition,
    key: `user/${n}`,
    value: Buffer.from(`${n}`),
    hlc: BigInt(n),
    idDigest: randomBytes(16),
    contentDigest: randomBytes(16),
  });
  const before = [1, 2, 3, 4].map((n) => record(0, n));
  assert.deepEqual(await log.writer.append([...before, record(1, 5)]), [0, 1, 2, 3, 3]);
  await log.writer.close();

  log = await openEmbeddedLog({ dir });
  const { epoch, partitions, lineage } = log.writer.info;
  assert.deepEqual([epoch, partitions, lineage], [1, 2, LINEAGE]);
  const reader = await openEmbeddedReader({ dir, shared: log.shared });
  assert.deepEqual(await reader.bounds(1), { start: 0, end: 4 });
  const texts = async (from: number) =>
    (await reader.read(1, from, { maxBytes: 1_000 })).map(({ value }) => value.toString());
  assert.deepEqual([await texts(0), await texts(3)], [['1', '2', '3'], ['5']]);
  await reader.close();
  await log.writer.close();
});
