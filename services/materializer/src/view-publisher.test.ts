import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { firstHlcOf } from '@memplane/clock';
import { type EventPayload, MemplaneError, viewFeedLineSchema } from '@memplane/contracts';
import { createLogger } from '@memplane/runtime';
import { type Seeded, scaled, testSeed } from '@memplane/testkit';
import { metrics } from '@opentelemetry/api';
import type { ViewLine } from './domain/feed.ts';
import { foldRecords } from './drivers/applier.ts';
import { viewsSource } from './drivers/feed-sources.ts';
import { ViewPublisher } from './drivers/view-publisher.ts';
import { ViewStore } from './drivers/view-store.ts';
import type { Plane } from './reads/plane.ts';
import { Shard, WaitLimit } from './shard.ts';
import { ShardSet } from './shard-set.ts';
import { MemoryLog, TEST_CONFIG, TEST_SETTINGS, withFolder } from './testing.ts';

const START_MS = 1_700_000_000_000;
const ENTITIES = 4;
const LATE_MS_MAX = 200;
const SETTINGS = {
  ...TEST_CONFIG,
  views_publish_bytes_max: 1,
  viewsPublishIntervalMs: 1,
  viewsPublishRetryMsMax: 5,
  viewsRepeatDelayMs: 300,
  // A stamp a millisecond, an event a stamp: all that the owner before can have sent late.
  viewsRepeatWindowMs: 200,
};
const logger = createLogger('test', 'silent');
const views = metrics.getMeter('test').createCounter('views');

/** A compacted topic that refuses, loses and delays: a message given up may still arrive. */
class LossyTopic {
  readonly last = new Map<string, ViewLine>();
  readonly seen: ViewLine[] = [];
  late = 0;
  failures = 0.5;
  readonly #random: Seeded;

  constructor(random: Seeded) {
    this.#random = random;
  }

  async publish(lines: readonly ViewLine[]): Promise<void> {
    await sleep(this.#random.int(0, 1));
    if (!this.#random.chance(this.failures)) return this.#store(lines);
    if (this.#random.chance(0.7)) {
      this.late++;
      setTimeout(
        () => {
          this.late--;
          this.#store(lines);
        },
        this.#random.int(LATE_MS_MAX / 2, LATE_MS_MAX),
      );
    }
    throw new MemplaneError('dependency_unavailable', 'no answer');
  }

  #store(lines: readonly ViewLine[]): void {
    for (const line of lines) {
      this.seen.push(line);
      this.last.set(line.key, line);
    }
  }
}

/** An instance of the materializer as far as publishing goes. */
class Owner {
  readonly plane: Plane;
  readonly shard: Shard;
  readonly publisher: ViewPublisher;
  isOwner = true;

  private constructor(plane: Plane, shard: Shard, topic: LossyTopic) {
    this.plane = plane;
    this.shard = shard;
    this.publisher = new ViewPublisher({ plane, topic, logger, views }, SETTINGS);
  }

  static async open(dir: string, log: MemoryLog, epoch: number, topic: LossyTopic): Promise<Owner> {
    const store = await ViewStore.open(dir, 1 << 20);
    const shards = new ShardSet(
      { info: { logId: '', epoch: 0, partitions: 1 } },
      { epochOf: () => (owner.isOwner ? epoch : undefined) },
    );
    const shard = new Shard(
      0,
      await store.loadShard(log.info, 0),
      { ownerEpoch: epoch },
      new WaitLimit(10),
    );
    shards.add(shard);
    const settings = { time_cut_settle_ms: 0, query_scan_rows_max: 1000, trace_nodes_max: 100 };
    const now = () => START_MS + log.length(0);
    const plane: Plane = { log, store, shards, settings, now };
    const owner = new Owner(plane, shard, topic);
    owner.publisher.add(shard);
    return owner;
  }

  async catchUp(): Promise<void> {
    const { log, store } = this.plane;
    for (;;) {
      const options = { maxBytes: 1e6, maxRecords: 5 };
      const next = await log.read(0, this.shard.applied + 1, options);
      if (next.length === 0) return;
      const fold = await foldRecords(store.rocks, this.shard.record, 0, next, TEST_SETTINGS);
      await store.rocks.write(fold.writes);
      this.shard.advance(fold.shard);
      this.publisher.notify(this.shard);
    }
  }

  /** Of every entity the view as it is now. */
  async views(): Promise<Map<string, string>> {
    const read = viewsSource(this.plane);
    const all = new Map<string, string>();
    for (let next = 0; next <= this.shard.applied; ) {
      const step = await read(0, next, 1e6);
      for (const line of step.lines) all.set(line.key, contentOf(line));
      next = step.next;
    }
    return all;
  }

  async close(): Promise<void> {
    await this.publisher.stop();
    await this.plane.store.close();
  }
}

/** All but the owner that told it. */
function contentOf(line: ViewLine): string {
  const { ownerEpoch: _, ...rest } = viewFeedLineSchema.parse(JSON.parse(line.json.toString()));
  return JSON.stringify(rest);
}

function append(log: MemoryLog, random: Seeded, count: number): void {
  for (let i = 0; i < count; i++) {
    const n = log.length(0);
    const data = { attributes: { [`k${random.int(0, 3)}`]: n }, memory: { id: 'm', text: `${n}` } };
    const entity = `user/${random.int(0, ENTITIES - 1)}`;
    log.append(0, { id: `e${n}`, entity, hlc: firstHlcOf(START_MS + n), data });
  }
}

async function until(isSo: () => Promise<boolean>, what: string): Promise<void> {
  for (const deadline = performance.now() + 10_000; !(await isSo()); ) {
    assert.ok(performance.now() < deadline, what);
    await sleep(2);
  }
}

test('whatever is lost, late or told by an owner before, the last message of an entity is its view', async () => {
  const random = testSeed('view publisher');
  const rounds = scaled('view_publisher', { ci: 4, soak: 200 });
  for (let round = 0; round < rounds; round++) {
    await withFolder(async (dir) => {
      const log = new MemoryLog(1);
      const topic = new LossyTopic(random);
      const dirs = [join(dir, 'a'), join(dir, 'b')];
      let owner = await Owner.open(dirs[0] ?? '', log, 1, topic);
      for (let epoch = 2; epoch < 5; epoch++) {
        // The last one goes on after it has repeated what others may have sent.
        const endMs = performance.now() + (epoch === 4 ? 4 * LATE_MS_MAX : 0);
        for (let i = random.int(1, 25); i > 0 || performance.now() < endMs; i--) {
          append(log, random, random.int(1, 3));
          await owner.catchUp();
          const again = `user/${random.int(0, ENTITIES - 1)}`;
          if (random.chance(0.2)) owner.publisher.sendAgain(owner.shard, [again]);
          await sleep(random.int(0, 3));
        }
        // It does not know yet that it is no longer the owner; what it has sent may come late.
        owner.isOwner = false;
        const former = owner;
        if (random.chance(0.5)) await former.close();
        owner = await Owner.open(dirs[(epoch + 1) % 2] ?? '', log, epoch, topic).catch(async () => {
          await former.close();
          return await Owner.open(dirs[(epoch + 1) % 2] ?? '', log, epoch, topic);
        });
        await owner.catchUp();
        if (former !== owner) await former.close();
      }
      topic.failures = 0;
      const expected = await owner.views();
      const isEqual = async () =>
        topic.late === 0 &&
        [...expected].every(([key, view]) => {
          const last = topic.last.get(key);
          return last !== undefined && contentOf(last) === view;
        });
      await until(isEqual, `round ${round}: the topic keeps an old view`);
      await owner.close();
    });
  }
});

test('without failures each change is sent once, in order, and a restart sends nothing twice', async () => {
  await withFolder(async (dir) => {
    const random = testSeed('view publisher, no failures');
    const log = new MemoryLog(1);
    const topic = new LossyTopic(random);
    topic.failures = 0;
    append(log, random, 40);
    for (const epoch of [1, 2]) {
      const owner = await Owner.open(join(dir, 'a'), log, epoch, topic);
      await owner.catchUp();
      await until(async () => owner.publisher.lagOf(owner.shard) === 0, 'it is not published');
      await owner.close();
      const offsets = topic.seen.map(({ offset }) => offset);
      assert.deepEqual(
        offsets,
        [...offsets].sort((a, b) => a - b),
      );
      assert.equal(new Set(offsets).size, offsets.length);
    }
    const keys = new Set(topic.seen.map(({ key }) => key));
    assert.equal(topic.seen.length, keys.size, 'views that were replaced were sent');
  });
});

test('a view that no message has room for is sent without its content, and stops nobody', async () => {
  await withFolder(async (dir) => {
    const random = testSeed('large view');
    const log = new MemoryLog(1);
    const topic = new LossyTopic(random);
    topic.failures = 0;
    const data = { attributes: { text: 'x'.repeat(SETTINGS.view_message_bytes_max) } };
    log.append(0, { id: 'large', entity: 'user/large', hlc: firstHlcOf(START_MS), data });
    append(log, random, 3);
    const owner = await Owner.open(join(dir, 'a'), log, 1, topic);
    await owner.catchUp();
    await until(async () => owner.publisher.lagOf(owner.shard) === 0, 'it is not published');
    const line = topic.last.get('user/large');
    const { view } = viewFeedLineSchema.parse(JSON.parse(String(line?.json)));
    assert.equal(view.tooLarge, true);
    assert.deepEqual(view.attributes, {});
    assert.ok(topic.last.size > 1);
    await owner.close();
  });
});

test('a view of a sealed entity is sent without its content, until what was sealed is erased', async () => {
  await withFolder(async (dir) => {
    const random = testSeed('sealed view');
    const log = new MemoryLog(1);
    const topic = new LossyTopic(random);
    topic.failures = 0;
    const owner = await Owner.open(join(dir, 'a'), log, 1, topic);
    const entity = 'patient/1';
    const seen = async (id: string, data: EventPayload, keyId?: string) => {
      const hlc = firstHlcOf(START_MS + log.length(0));
      log.append(0, { id, entity, hlc, data, ...(keyId === undefined ? {} : { keyId }) });
      await owner.catchUp();
      await until(async () => owner.publisher.lagOf(owner.shard) === 0, 'it is not published');
      const { view } = viewFeedLineSchema.parse(JSON.parse(String(topic.last.get(entity)?.json)));
      return { sealed: view.sealed, attributes: view.attributes, memories: view.memories.length };
    };
    const withheld = { sealed: true, attributes: {}, memories: 0 };
    const memory = { id: 'm', text: 'said in confidence' };
    assert.deepEqual(await seen('a', { attributes: { a: 1 }, memory }, 'k'.repeat(16)), withheld);
    // Its zone is sealed no more; what was said before is.
    assert.deepEqual(await seen('b', { attributes: { b: 2 } }), withheld);
    const erased = { erased: { erasure: '1' } };
    assert.deepEqual(await seen('c', erased), { sealed: undefined, attributes: {}, memories: 0 });
    const open = { sealed: undefined, attributes: { d: 4 }, memories: 0 };
    assert.deepEqual(await seen('d', { attributes: { d: 4 } }), open);
    await owner.close();
  });
});
