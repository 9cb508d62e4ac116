import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BlobStore } from '@memplane/blob-store';
import { MemoryBlobStore } from '@memplane/blob-store/memory';
import { MemplaneError } from '@memplane/contracts';
import type { LogAdmin, LogReader, LogReadOptions, LogRecord } from '@memplane/event-log';
import { createLogger } from '@memplane/runtime';
import { scaled } from '@memplane/testkit';
import fc from 'fast-check';
import { SegmentBody } from './domain/segment-body.ts';
import { Archive } from './drivers/archive.ts';
import { Archiver } from './drivers/archiver.ts';
import { listManifests } from './drivers/manifests.ts';
import { TEST_LOG_ID } from './testing.ts';

const INFO = { logId: TEST_LOG_ID, epoch: 0, partitions: 1 };
const SETTINGS = { archiveIntervalMs: 0, archiveTickMs: 1, logRetentionMs: 0 };
const logger = createLogger('test', 'silent');

/** A log of one partition that forgets what it is told to, and nothing that is not archived. */
class ForgetfulLog {
  readonly info = INFO;
  readonly records: LogRecord[] = [];
  readonly #blobs: BlobStore;
  start = 0;
  /** No reader wants events before it. */
  unneededBefore = 0;

  constructor(blobs: BlobStore) {
    this.#blobs = blobs;
  }

  append(count: number): void {
    for (let i = 0; i < count; i++) {
      const offset = this.records.length;
      const value = Buffer.from(`{"n":${offset}}`);
      this.records.push({ partition: 0, offset, key: 'user/1', value, hlc: BigInt(offset) });
    }
  }

  async bounds() {
    return { start: this.start, end: this.records.length };
  }

  async read(_: number, from: number, { maxBytes }: LogReadOptions): Promise<LogRecord[]> {
    if (from < this.start) throw new MemplaneError('history_expired', 'the log has forgotten it');
    return this.records.slice(from, from + Math.max(1, Math.floor(maxBytes / 8)));
  }

  async deleteRecordsBefore(_: number, offset: number): Promise<void> {
    for (let lost = this.start; lost < offset; lost++) {
      if (lost < this.unneededBefore) continue;
      assert.ok(await isArchived(this.#blobs, lost), `${lost} was deleted and is not archived`);
    }
    this.start = Math.max(this.start, offset);
  }
}

async function isArchived(blobs: BlobStore, offset: number): Promise<boolean> {
  const archive = new Archive(blobs, { info: INFO });
  await archive.open(0, 0);
  const [record] = await archive.read(0, offset, { maxBytes: 1 });
  return record?.offset === offset;
}

/** Every call waits its turn twice: before it is done, and before its answer comes. */
function gated<T extends object>(target: T, scheduler: fc.Scheduler, owner: string): T {
  const turn = (name: string) => scheduler.schedule(Promise.resolve(), `${owner} ${name}`);
  return new Proxy(target, {
    get(object, property) {
      const value: unknown = Reflect.get(object, property);
      if (typeof value !== 'function') return value;
      const name = String(property);
      if (name === 'list') {
        return async function* (...args: unknown[]) {
          await turn(name);
          yield* Reflect.apply(value, object, args) as AsyncGenerator<unknown>;
        };
      }
      return async (...args: unknown[]) => {
        await turn(name);
        const result: unknown = await Reflect.apply(value, object, args);
        await turn(`${name} done`);
        return result;
      };
    },
  });
}

interface World {
  readonly log: ForgetfulLog;
  readonly blobs: MemoryBlobStore;
  /** The owner of the moment. Earlier ones may not have heard of it. */
  epoch: number;
}

async function own(world: World, scheduler: fc.Scheduler, plan: OwnerPlan): Promise<void> {
  const epoch = ++world.epoch;
  const name = `owner ${epoch}`;
  const archive = new Archive(gated(world.blobs, scheduler, name), { info: INFO });
  await archive.open(0, epoch);
  const log = gated(world.log, scheduler, name) as unknown as LogReader & LogAdmin;
  const archiver = new Archiver(
    {
      log,
      admin: log,
      archive,
      logger,
      partitions: async () => [0],
      owns: () => (plan.checks ? world.epoch === epoch : true),
      firstOffsetSince: async () => world.log.records.length,
      snapshotIfDue: async () => {},
      snapshotOffset: () => world.log.records.length - 1,
      unneededBefore: () => world.log.unneededBefore,
      withoutErased: async (_partition, records) => records,
      inTurn: (work) => work(),
      childrenReading: () => [],
      now: Date.now,
    },
    { ...SETTINGS, archive_segment_bytes: plan.segmentBytes },
  );
  for (const count of plan.appends) {
    world.log.append(count);
    const { log } = world;
    log.unneededBefore = Math.max(log.unneededBefore, log.start - plan.history);
    await tick(archiver);
  }
}

/** Another owner may have taken away what was about to be read: the archiver looks again. */
async function tick(archiver: Archiver): Promise<void> {
  for (;;) {
    try {
      await archiver.tick(true);
      return;
    } catch (error) {
      if (!(error instanceof MemplaneError) || error.code !== 'history_expired') throw error;
    }
  }
}

interface OwnerPlan {
  readonly segmentBytes: number;
  /** Events that come before each of its looks. */
  readonly appends: readonly number[];
  /** Asks whether it still owns the partition; one that was paused in between has asked in vain. */
  readonly checks: boolean;
  /** Events before the log's start that stay readable. */
  readonly history: number;
}

const ownerPlan: fc.Arbitrary<OwnerPlan> = fc.record({
  segmentBytes: fc.integer({ min: 1, max: 80 }),
  appends: fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 4 }),
  checks: fc.boolean(),
  history: fc.integer({ min: 0, max: 30 }),
});

test('owners that follow each other, and wake up late, lose no event and never win', async () => {
  const plans = fc.array(ownerPlan, { minLength: 2, maxLength: 4 });
  const property = fc.asyncProperty(fc.scheduler(), plans, async (scheduler, owners) => {
    const blobs = new MemoryBlobStore();
    const world: World = { log: new ForgetfulLog(blobs), blobs, epoch: 0 };
    const runs = owners.map(async (plan, i) => {
      await scheduler.schedule(Promise.resolve(), `start ${i}`);
      await own(world, scheduler, plan);
    });
    await scheduler.waitFor(Promise.all(runs));
    const manifests = await listManifests(blobs, 'archive', INFO.logId, 0);
    const epochs = manifests.map((manifest) => manifest.ownerEpoch);
    assert.deepEqual(
      epochs,
      [...epochs].sort((a, b) => b - a),
    );
    // The next owner finds every event: in the log, or else in the archive.
    const next = new Archive(blobs, { info: INFO });
    await next.open(0, world.epoch + 1);
    const { start, records } = world.log;
    if (start > (next.endOf(0) ?? start)) await next.adopt(0, start, world.log.unneededBefore);
    assert.ok((next.endOf(0) ?? start) >= start);
    for (const expected of records.slice(
      world.log.unneededBefore,
      Math.max(start, next.endOf(0) ?? 0),
    )) {
      const [found] = await next.read(0, expected.offset, { maxBytes: 1 });
      assert.deepEqual(found, expected);
    }
  });
  await fc.assert(property, { numRuns: scaled('archive_owners', { ci: 25, soak: 1_000 }) });
});

test('a manifest of an earlier owner, however far it goes, does not count', async () => {
  const blobs = new MemoryBlobStore();
  const log = new ForgetfulLog(blobs);
  log.append(300);
  const part = (from: number, to: number) => SegmentBody.of(log.records.slice(from, to));
  const old = new Archive(blobs, { info: INFO });
  await old.open(0, 1);
  await old.append(part(0, 100));
  const second = new Archive(blobs, { info: INFO });
  await second.open(0, 2);
  await second.append(part(100, 150));
  // It wakes up, writes what it was about to write, and the log forgets it.
  await old.append(part(100, 200));
  const third = new Archive(blobs, { info: INFO });
  await third.open(0, 3);
  assert.equal(third.endOf(0), 150);
  await log.deleteRecordsBefore(0, 200);
  await third.adopt(0, 200, 0);
  await third.append(part(200, 250));
  const fourth = new Archive(blobs, { info: INFO });
  await fourth.open(0, 4);
  assert.equal(fourth.endOf(0), 250);
  for (const expected of log.records.slice(0, 250)) {
    const [found] = await fourth.read(0, expected.offset, { maxBytes: 1 });
    assert.deepEqual(found, expected);
  }
  await assert.rejects(
    fourth.adopt(0, 260, 10),
    (error) => error instanceof MemplaneError && error.code === 'storage_damaged',
  );
});

test('of two segments that hold an event, a damaged one is passed over', async () => {
  const blobs = new MemoryBlobStore();
  const log = new ForgetfulLog(blobs);
  log.append(20);
  for (const epoch of [1, 2]) {
    const archive = new Archive(blobs, { info: { ...INFO } });
    if (epoch === 2)
      for await (const { name } of blobs.list('archive/'))
        if (name.includes('/manifests/')) await blobs.delete(name);
    await archive.open(0, epoch);
    await archive.append(SegmentBody.of(log.records));
  }
  const names: string[] = [];
  for await (const { name } of blobs.list('archive/'))
    if (name.includes('/segments/')) names.push(name);
  assert.equal(names.length, 2);
  await blobs.put(names[1] ?? '', Buffer.from('rubbish'));
  const archive = new Archive(blobs, { info: INFO });
  await archive.open(0, 3);
  assert.equal((await archive.read(0, 5, { maxBytes: 1e6 })).length, 15);
  await blobs.put(names[0] ?? '', Buffer.from('rubbish'));
  const bare = new Archive(blobs, { info: INFO });
  await bare.open(0, 4);
  await assert.rejects(
    bare.read(0, 5, { maxBytes: 1e6 }),
    (error) => error instanceof MemplaneError && error.code === 'storage_damaged',
  );
});
