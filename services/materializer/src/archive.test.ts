import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import { type BlobStore, FileBlobStore } from '@memplane/blob-store';
import { firstHlcOf } from '@memplane/clock';
import { MemplaneError, TOPICS } from '@memplane/contracts';
import {
  type EmbeddedLog,
  type LogInfo,
  type LogReader,
  type LogRecord,
  openEmbeddedLog,
  openEmbeddedReader,
  partitionOf,
} from '@memplane/event-log';
import { createLogger } from '@memplane/runtime';
import type { ApplySettings } from './domain/apply-batch.ts';
import { decodeSegment, encodeSegment, hasBody } from './domain/archive-format.ts';
import { SegmentBody } from './domain/segment-body.ts';
import { foldRecords } from './drivers/applier.ts';
import { ArchiveService, restoreShard } from './drivers/archive-service.ts';
import { feedSource, type RecordArchive, readRecords } from './drivers/feed-sources.ts';
import { HistoryPruner } from './drivers/history-pruner.ts';
import { ShardSnapshots } from './drivers/shard-snapshots.ts';
import { ViewStore } from './drivers/view-store.ts';
import { waiting } from './reads/cuts.ts';
import { digestViews } from './reads/digest.ts';
import type { Plane } from './reads/plane.ts';
import { cloudEvent, openShards, TEST_CONFIG, TEST_SETTINGS, withFolder } from './testing.ts';

const PARTITIONS = 2;
const START_MS = 1_700_000_000_000;
const damaged = (error: unknown) =>
  error instanceof MemplaneError && error.code === 'storage_damaged';
const logger = createLogger('test', 'silent');
const SETTINGS = {
  ...TEST_CONFIG,
  archive_segment_bytes: 2_000,
  archiveTickMs: 5,
  logRetentionMs: 50,
  shard_snapshot_events_min: 1,
  shardSnapshotIntervalMs: 0,
};

async function append(log: EmbeddedLog, from: number, count: number): Promise<void> {
  for (let i = from; i < from + count; i++) {
    const entity = `user/${i % 5}`;
    const hlc = firstHlcOf(START_MS + i);
    const memory = { id: `m${i % 3}`, text: `text ${i}` };
    const data = { attributes: { [`k${i % 7}`]: i }, memory };
    const event = cloudEvent({ id: `e${i}`, entity, hlc, data });
    await log.writer.append([
      {
        partition: partitionOf(entity, PARTITIONS),
        key: entity,
        value: Buffer.from(JSON.stringify(event)),
        hlc,
        idDigest: randomBytes(16),
        contentDigest: randomBytes(16),
      },
    ]);
  }
}

/** A plane whose shards have applied everything, from the archive where the log begins later. */
async function openPlane(dir: string, log: LogReader, now: () => number): Promise<Plane> {
  const store = await ViewStore.open(dir, 1 << 20);
  const shards = await openShards(store, log.info);
  const settings = { time_cut_settle_ms: 0, query_scan_rows_max: 1000, trace_nodes_max: 100 };
  return { log, store, shards, settings, now };
}

/** @returns partition → offset restored */
async function restoreAll(store: ViewStore, blobs: BlobStore, info: LogInfo) {
  const snapshots = new ShardSnapshots(blobs, { info });
  const restored = new Map<number, number>();
  for (const [partition, { applied }] of (await store.loadShards(info)).entries()) {
    const wanted = { partition, eventsMin: 1 };
    const offset = await restoreShard(store, snapshots, applied, wanted);
    if (offset !== undefined) restored.set(partition, offset);
  }
  return restored;
}

async function catchUp(
  plane: Plane,
  archive?: RecordArchive,
  settings: ApplySettings = TEST_SETTINGS,
): Promise<void> {
  for (const shard of plane.shards) {
    for (;;) {
      const { partition, applied } = shard;
      const options = { maxBytes: 5_000 };
      const next = await readRecords(plane, archive, partition, applied + 1, options);
      if (next.length === 0) break;
      const { rocks } = plane.store;
      const fold = await foldRecords(rocks, shard.record, partition, next, settings);
      await rocks.write(fold.writes);
      shard.advance(fold.shard);
    }
  }
}

async function allOffsets(plane: Plane, archive: RecordArchive): Promise<number[]> {
  const counts: number[] = [];
  for (const { partition } of plane.shards) {
    const source = feedSource(TOPICS.events, plane, { archive });
    const offsets: number[] = [];
    for (let next = 0; ; ) {
      const step = await source(partition, next, 3_000);
      if (step.lines.length === 0) break;
      offsets.push(...step.lines.map((line) => line.offset));
      next = step.next;
    }
    assert.deepEqual(
      offsets,
      offsets.map((_, i) => i),
    );
    counts.push(offsets.length);
  }
  return counts;
}

test('the log forgets, the plane does not: archive, trim, and views that come back equal', async () => {
  await withFolder(async (dir) => {
    const log = await openEmbeddedLog({
      dir: join(dir, 'log'),
      partitions: PARTITIONS,
      segmentBytes: 8192,
    });
    const reader = await openEmbeddedReader({ dir: join(dir, 'log'), shared: log.shared });
    const blobs = await FileBlobStore.open(join(dir, 'blobs'));
    let nowMs = START_MS;
    const now = () => nowMs;
    const plane = await openPlane(join(dir, 'views'), reader, now);
    const ports = { plane, blobs, admin: log.admin, logger };
    const service = new ArchiveService(ports, SETTINGS);

    await append(log, 0, 120);
    await catchUp(plane);
    nowMs = START_MS + 120;
    await service.flush();
    assert.equal(service.lagBytes, 0);
    const starts = await Promise.all([0, 1].map(async (p) => (await reader.bounds(p)).start));
    assert.ok(
      starts.some((start) => start > 0),
      'the log gave nothing back',
    );
    for (const partition of [0, 1]) {
      const [first] = await reader.read(partition, starts[partition] ?? 0, { maxBytes: 1 });
      assert.ok(first !== undefined && first.hlc >= firstHlcOf(nowMs - 50), 'young events went');
    }
    await append(log, 120, 30);
    await catchUp(plane);
    const total = (await allOffsets(plane, service.archive)).reduce((a, b) => a + b);
    assert.equal(total, 150);
    const digest = (await digestViews(
      plane,
      undefined,
      waiting(0, new AbortController().signal),
    )) as { digest: string };

    // Another owner finds the same archive; views come back from a snapshot, archive and log.
    const rebuilt = await openPlane(join(dir, 'views-2'), reader, now);
    const restored = await restoreAll(rebuilt.store, blobs, reader.info);
    assert.equal(restored.size, 2);
    await rebuilt.store.close();
    const second = await openPlane(join(dir, 'views-2'), reader, now);
    assert.ok([...second.shards].every((shard) => shard.applied === restored.get(shard.partition)));
    const again = new ArchiveService({ ...ports, plane: second }, SETTINGS);
    await catchUp(second, again.archive);
    assert.deepEqual(
      await digestViews(second, undefined, waiting(0, new AbortController().signal)),
      digest,
    );

    // … and without any snapshot, from the archive alone.
    const third = await openPlane(join(dir, 'views-3'), reader, now);
    await catchUp(third, again.archive);
    assert.deepEqual(
      await digestViews(third, undefined, waiting(0, new AbortController().signal)),
      digest,
    );

    for (const it of [plane, second, third]) await it.store.close();
    await reader.close();
    await log.writer.close();
  });
});

test('history that is too old leaves views, archive and log, and what is left is enough', async () => {
  await withFolder(async (dir) => {
    const options = { dir: join(dir, 'log'), partitions: PARTITIONS, segmentBytes: 8192 };
    const log = await openEmbeddedLog(options);
    const reader = await openEmbeddedReader({ dir: options.dir, shared: log.shared });
    const blobs = await FileBlobStore.open(join(dir, 'blobs'));
    let refusals = 1;
    const remove = blobs.delete.bind(blobs);
    blobs.delete = async (name) => {
      if (name.includes('/segments/') && refusals-- > 0) {
        throw new MemplaneError('storage_unavailable', 'not now');
      }
      await remove(name);
    };
    const now = () => START_MS + 400;
    const historyRetentionMs = 60;
    const settings = { ...TEST_SETTINGS, historyRetentionMs };
    const plane = await openPlane(join(dir, 'views'), reader, now);
    const ports = { plane, blobs, admin: log.admin, logger };
    const service = new ArchiveService(ports, SETTINGS);
    const { store, shards } = plane;
    const pruner = new HistoryPruner(
      { store, shards, logger, onPruned: () => {} },
      { ...SETTINGS, historyRetentionMs },
    );
    const prune = async () => {
      for (const shard of shards) for await (const _ of pruner.prune(shard));
    };
    const segments = async () => {
      const names: string[] = [];
      for await (const { name } of blobs.list('archive/')) {
        if (name.includes('/segments/')) names.push(name);
      }
      return names.length;
    };
    await append(log, 0, 200);
    await catchUp(plane, undefined, settings);
    await service.flush();
    await prune();
    const before = await segments();
    await service.flush();
    assert.equal(await segments(), before, 'one snapshot more is needed');
    await append(log, 200, 100);
    await catchUp(plane, service.archive, settings);
    await prune();
    // A removal that fails half way is finished later, also by the next owner.
    await assert.rejects(service.flush(), { code: 'storage_unavailable' });
    await service.flush();
    assert.ok((await segments()) < before, 'nothing left the archive');
    const starts = [...shards].map(({ record }) => record.historyStart);
    assert.ok(starts.every((start) => start > 50));
    const source = feedSource(TOPICS.events, plane, { archive: service.archive });
    for (const [partition, start] of starts.entries()) {
      assert.throws(() => source(partition, start - 1, 1), { code: 'history_expired' });
      const { lines } = await source(partition, start, 1);
      assert.equal(lines[0]?.offset, start);
    }
    await append(log, 300, 20);
    await catchUp(plane, service.archive, settings);
    const digest = await digestViews(plane, undefined, waiting(0, new AbortController().signal));
    // What is built anew, from snapshot, archive and log, is equal; and goes on pruning.
    const rebuilt = await openPlane(join(dir, 'views-2'), reader, now);
    assert.equal((await restoreAll(rebuilt.store, blobs, reader.info)).size, 2);
    await rebuilt.store.close();
    const second = await openPlane(join(dir, 'views-2'), reader, now);
    const again = new ArchiveService({ ...ports, plane: second }, SETTINGS);
    await catchUp(second, again.archive, settings);
    assert.deepEqual(
      await digestViews(second, undefined, waiting(0, new AbortController().signal)),
      digest,
    );
    await again.flush();
    for (const { partition, record } of second.shards) {
      const [first] = await again.archive.read(partition, record.historyStart, { maxBytes: 1 });
      assert.equal(first?.offset, record.historyStart, 'the archive has what is readable');
    }
    for (const it of [plane, second]) await it.store.close();
    await reader.close();
    await log.writer.close();
  });
});

test('the archiver runs by itself: what waits long enough is archived, and it ends cleanly', async () => {
  await withFolder(async (dir) => {
    const log = await openEmbeddedLog({ dir: join(dir, 'log'), partitions: PARTITIONS });
    const reader = await openEmbeddedReader({ dir: join(dir, 'log'), shared: log.shared });
    const blobs = await FileBlobStore.open(join(dir, 'blobs'));
    const plane = await openPlane(join(dir, 'views'), reader, Date.now);
    const settings = { ...SETTINGS, archiveIntervalMs: 0, logRetentionMs: 1e12 };
    const service = new ArchiveService({ plane, blobs, logger }, settings);
    await append(log, 0, 20);
    await catchUp(plane);
    service.start();
    const deadline = performance.now() + 10_000;
    const archived = async () => (await service.archive.read(0, 0, { maxBytes: 1 })).length > 0;
    while (!(await archived()) && performance.now() < deadline) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    await service.stop();
    assert.ok(await archived());
    await plane.store.close();
    await reader.close();
    await log.writer.close();
  });
});

test('any changed bit of a segment is found', async () => {
  const records = Array.from({ length: 20 }, (_, i): LogRecord => {
    const value = Buffer.from(`{"n":${i}}`);
    return { partition: 3, offset: 7 + i, key: `user/${i % 3}`, value, hlc: BigInt(i) << 16n };
  });
  const log = { logId: '0c7a4d0e-6f2b-4c59-9d3e-5a1b2c3d4e5f', epoch: 2 };
  const body = new SegmentBody();
  body.add(records.slice(0, 7));
  body.add(records.slice(7));
  const { blob } = await encodeSegment(log, body);
  assert.equal(await hasBody(blob, 'x', body.bytes), true);
  const others = [body.bytes.subarray(1), Buffer.concat([body.bytes, Buffer.of(0)])];
  for (const other of others) assert.equal(await hasBody(blob, 'x', other), false);
  const read = await decodeSegment(blob, 'x');
  assert.deepEqual(read.records, records);
  assert.equal(read.header.firstOffset, 7);
  for (let at = 0; at < blob.length; at++) {
    const changed = Buffer.from(blob);
    changed.writeUInt8(changed.readUInt8(at) ^ (1 << (at % 8)), at);
    await assert.rejects(decodeSegment(changed, 'x'), damaged);
  }
  for (let length = 0; length < blob.length; length += 7) {
    await assert.rejects(decodeSegment(blob.subarray(0, length), 'x'), damaged);
  }
});

test('a damaged snapshot is passed over for the one before, or for none', async () => {
  await withFolder(async (dir) => {
    const log = await openEmbeddedLog({ dir: join(dir, 'log'), partitions: PARTITIONS });
    const reader = await openEmbeddedReader({ dir: join(dir, 'log'), shared: log.shared });
    const blobs = await FileBlobStore.open(join(dir, 'blobs'));
    const plane = await openPlane(join(dir, 'views'), reader, () => START_MS);
    const service = new ArchiveService({ plane, blobs, logger }, SETTINGS);
    const published: Map<number, number>[] = [];
    for (const round of [0, 1, 2]) {
      await append(log, round * 40, 40);
      await catchUp(plane);
      await service.flush();
      published.push(new Map([...plane.shards].map((shard) => [shard.partition, shard.applied])));
    }
    const states: string[] = [];
    for await (const { name } of blobs.list('snapshots/')) {
      if (name.includes('/states/')) states.push(name);
    }
    assert.equal(states.length, 2 * PARTITIONS, 'old snapshots stay');
    const damage = async (name: string) => {
      const content = await blobs.get(name);
      const at = content.length >> 1;
      content.writeUInt8(content.readUInt8(at) ^ 16, at);
      await blobs.put(name, content);
    };
    const restore = async (name: string) => {
      const store = await ViewStore.open(join(dir, name), 1 << 20);
      const restored = await restoreAll(store, blobs, reader.info);
      const shards = await store.loadShards(reader.info);
      await store.close();
      return [restored.get(0), shards[0]?.applied];
    };
    const mine = states.filter((name) => name.includes('/0000/'));
    await damage(mine[1] ?? '');
    const before = published[1]?.get(0);
    assert.deepEqual(await restore('a'), [before, before]);
    await damage(mine[0] ?? '');
    assert.deepEqual(await restore('b'), [undefined, -1]);
    await plane.store.close();
    await reader.close();
    await log.writer.close();
  });
});
