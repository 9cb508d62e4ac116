import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openEmbeddedLog, openEmbeddedReader } from './open.ts';

const STARTS = [0, 5_000_123, 17];

test('a new log may begin at any offset, and goes on there after a restart', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'memplane-starts-'));
  try {
    const options = { dir, partitions: 3, newStarts: STARTS, newEpoch: 4 };
    for (let round = 0; round < 3; round++) {
      const log = await openEmbeddedLog(options);
      assert.equal(log.writer.info.epoch, 4);
      const records = STARTS.map((_, partition) => ({
        partition,
        key: `user/${partition}`,
        value: Buffer.from(`{"round":${round}}`),
        hlc: BigInt(round + 1),
        idDigest: randomBytes(16),
        contentDigest: randomBytes(16),
      }));
      const offsets = await log.writer.append(records);
      assert.deepEqual(
        offsets,
        STARTS.map((start) => start + round),
      );
      await log.writer.close();
    }
    const reader = await openEmbeddedReader({ dir });
    for (const [partition, start] of STARTS.entries()) {
      assert.deepEqual(await reader.bounds(partition), { start, end: start + 3 });
      const records = await reader.read(partition, start, { maxBytes: 1_000 });
      assert.deepEqual(
        records.map(({ offset, value }) => [offset, value.toString()]),
        [0, 1, 2].map((round) => [start + round, `{"round":${round}}`]),
      );
      if (start === 0) continue;
      const tooEarly = reader.read(partition, start - 1, { maxBytes: 1 });
      await assert.rejects(tooEarly, { code: 'history_expired' });
    }
    await reader.close();
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
