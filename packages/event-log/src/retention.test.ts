import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { firstHlcOf } from '@memplane/clock';
import { newRecord } from './contract.ts';
import { openEmbeddedLog, openEmbeddedReader } from './embedded/open.ts';
import { retentionCut, type SegmentSummary } from './retention.ts';

const HOUR_MS = 3_600_000;
const NOW_MS = 1_790_000_000_000;

const segments: SegmentSummary[] = [4, 3, 2, 1].map((ageHours, i) => ({
  segment: i + 1,
  bytes: 100,
  firstOffsets: [i * 10, i * 5],
  newestHlc: firstHlcOf(NOW_MS - ageHours * HOUR_MS),
}));

test('age lets the oldest segments go, never the last one', () => {
  const cut = (ageMsMax: number) => retentionCut(segments, { ageMsMax }, NOW_MS);
  assert.equal(cut(5 * HOUR_MS), undefined);
  assert.deepEqual(cut(3.5 * HOUR_MS), [10, 5]);
  assert.deepEqual(cut(2 * HOUR_MS), [20, 10]);
  assert.deepEqual(cut(0), [30, 15]);
});

test('size lets the oldest segments go until the rest fits', () => {
  const cut = (bytesMax: number) => retentionCut(segments, { bytesMax }, NOW_MS);
  assert.equal(cut(400), undefined);
  assert.deepEqual(cut(399), [10, 5]);
  assert.deepEqual(cut(200), [20, 10]);
  assert.deepEqual(cut(0), [30, 15]);
});

test('what either lets go may go; without a policy nothing does', () => {
  assert.equal(retentionCut(segments, {}, NOW_MS), undefined);
  assert.deepEqual(
    retentionCut(segments, { ageMsMax: 3.5 * HOUR_MS, bytesMax: 250 }, NOW_MS),
    [20, 10],
  );
});

test('a cut gives the space of whole segments back and leaves the rest readable', async () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'memplane-log-'));
  const { writer, admin, shared } = await openEmbeddedLog({
    dir,
    partitions: 2,
    segmentBytes: 8192,
  });
  for (let n = 0; n < 100; n++) await writer.append([newRecord(n % 2, n, Buffer.alloc(900, n))]);
  const before = writer.segments();
  assert.ok(before.length > 8);
  const bytesMax = 30_000;
  const cut = retentionCut(before, { bytesMax }, NOW_MS);
  assert.ok(cut);
  for (const [p, offset] of cut.entries()) await admin.deleteRecordsBefore(p, offset);
  const left = writer.segments();
  assert.ok(left.reduce((sum, segment) => sum + segment.bytes, 0) <= bytesMax);
  assert.equal(readdirSync(path.join(dir, 'journal')).length, left.length);
  const reader = await openEmbeddedReader({ dir, shared });
  for (let p = 0; p < 2; p++) {
    assert.deepEqual(await reader.bounds(p), { start: cut[p], end: 50 });
    const records = await reader.read(p, cut[p] ?? 0, { maxBytes: 1024 * 1024 });
    assert.equal(records.length, 50 - (cut[p] ?? 0));
  }
  await reader.close();
  await writer.close();
  const again = await openEmbeddedLog({ dir });
  assert.deepEqual(
    again.writer.segments().map((one) => one.segment),
    left.map((one) => one.segment),
  );
  await again.writer.close();
  rmSync(dir, { recursive: true });
});
