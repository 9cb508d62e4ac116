import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '@memplane/runtime';
import { type Seeded, scaled, testSeed } from '@memplane/testkit';
import { decodeClearing, encodeClearing } from './domain/clearing.ts';
import { viewLine } from './domain/feed.ts';
import { PLANE, ShardKeys, toKey } from './domain/keys.ts';
import type { OpenViewTopic, ViewMessage } from './domain/publishing.ts';
import { emptyShard } from './domain/shard-record.ts';
import { TopicClearer } from './drivers/topic-clearer.ts';
import { ViewStore } from './drivers/view-store.ts';
import { Shard, WaitLimit } from './shard.ts';
import { TEST_LOG_ID, withFolder } from './testing.ts';

const LAG_MS = 300_000;
const DELAY_MS = 60_000;
const REPEAT_MS = 60_000;
const STEP_MS = 20_000;
/** Far more than what may come late, two lags, two delays, and what looking takes. */
const STEPS_MAX = 120;
const ENTITY = 'user/1';
const ERASED_AT = 5;

interface Stored extends ViewMessage {
  readonly atMs: number;
}

/**
 * A partition of a compacted topic as Kafka keeps it: its last segment ends with the first message that
 * comes later than the lag allows, and is never compacted itself.
 */
class CompactedPartition implements OpenViewTopic {
  now = 1_000_000;
  looks = 0;
  /** The last one is the segment that is written to. */
  #segments: Stored[][] = [[]];

  publish(offset: number, said?: string): void {
    const attributes = said === undefined ? '{}' : JSON.stringify({ said });
    const place = {
      logId: TEST_LOG_ID,
      epoch: 0,
      ownerEpoch: 1,
      partition: 0,
      offset,
      key: ENTITY,
    };
    const content = { attributes, memories: '[]', sequence: 1, hlc: 1n, isSealed: false };
    const { json } = viewLine({ ...place, ...content, tenant: 'default', entity: ENTITY });
    const value = Buffer.from(`{"data":${json.toString()}}`);
    const first = this.#segments.at(-1)?.[0];
    if (first !== undefined && this.now - first.atMs > LAG_MS) this.#segments.push([]);
    this.#segments.at(-1)?.push({ key: ENTITY, value, atMs: this.now });
  }

  /** The cleaner comes by. */
  clean(): void {
    const closed = this.#segments.slice(0, -1).flat();
    const isDue = closed.some(({ atMs }) => this.now - atMs > LAG_MS);
    const newest = closed.at(-1);
    if (isDue && newest) this.#segments = [[newest], this.#segments.at(-1) ?? []];
  }

  has(text: string): boolean {
    return this.#segments.flat().some(({ value }) => value.includes(text));
  }

  async compaction() {
    return { lagMsMax: LAG_MS, fileDeleteDelayMs: DELAY_MS };
  }

  async *records() {
    this.looks++;
    yield* this.#segments;
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** One erased entity whose views are clear, and a topic that has what was said of it. */
class World {
  readonly topic = new CompactedPartition();
  readonly store: ViewStore;
  readonly shard: Shard;
  readonly startMs = this.topic.now;
  sendings = 0;

  constructor(store: ViewStore) {
    this.store = store;
    const record = { ...emptyShard(TEST_LOG_ID, 0), applied: 9, erasures: 1 };
    this.shard = new Shard(0, record, { ownerEpoch: 1 }, new WaitLimit(10));
  }

  static async open(dir: string, isPublished: boolean): Promise<World> {
    const world = new World(await ViewStore.open(dir, 1 << 20));
    const { rocks } = world.store;
    const clearing = { offset: ERASED_AT, clearedAtMs: world.topic.now, isPublished };
    await rocks.write(rocks.batch().put(world.#row, encodeClearing(clearing)));
    return world;
  }

  get #row(): Buffer {
    return toKey(new ShardKeys(PLANE, 0).clearing('default', ENTITY));
  }

  /** @param sends whether what is to be sent again is */
  clearer(sends = true): TopicClearer {
    const views = {
      publishedOf: () => ERASED_AT,
      sendAgain: () => {
        this.sendings++;
        if (sends) this.topic.publish(ERASED_AT);
      },
    };
    const { store, shard, topic } = this;
    const ports = { store, shards: [shard], logId: TEST_LOG_ID, views, open: async () => topic };
    const logger = createLogger('test', 'silent');
    const settings = { erasureTopicTickMs: 1, viewsRepeatDelayMs: REPEAT_MS };
    return new TopicClearer({ ...ports, logger, now: () => topic.now }, settings);
  }

  async clearedAtMs(): Promise<number | undefined> {
    const row = await this.store.rocks.get(this.#row);
    return row === null ? undefined : decodeClearing(row).topicClearedAtMs;
  }

  /** Lets time go by. @returns when it was clear, in milliseconds since the start */
  async run(
    clearer: TopicClearer,
    meanwhile: (step: number) => void = () => {},
  ): Promise<number | undefined> {
    for (let step = 0; step < STEPS_MAX; step++) {
      meanwhile(step);
      await clearer.tick();
      const clearedAtMs = await this.clearedAtMs();
      if (clearedAtMs !== undefined) return clearedAtMs - this.startMs;
      this.topic.now += STEP_MS;
      this.topic.clean();
    }
    return undefined;
  }
}

async function inWorld(isPublished: boolean, work: (world: World) => Promise<void>): Promise<void> {
  await withFolder(async (dir) => {
    const world = await World.open(dir, isPublished);
    try {
      await work(world);
    } finally {
      await world.store.close();
    }
  });
}

function say({ topic }: World): void {
  topic.publish(2, 'Ada');
  topic.publish(4, 'Ada Lovelace');
  topic.publish(ERASED_AT);
}

test('where nothing else is published, what was said goes all the same, and within ten minutes', () =>
  inWorld(true, async (world) => {
    say(world);
    const clearMs = await world.run(world.clearer());
    assert.equal(world.topic.has('Ada'), false);
    assert.ok(clearMs !== undefined && clearMs <= 600_000, `${clearMs} ms`);
    assert.ok(clearMs >= LAG_MS + DELAY_MS + REPEAT_MS, 'replaced files are gone by then');
    assert.ok(world.topic.looks <= 5, `${world.topic.looks} times read from end to end`);
  }));

test('where the view is not sent again, the topic is never taken for clear', () =>
  inWorld(true, async (world) => {
    say(world);
    assert.equal(await world.run(world.clearer(false)), undefined);
    assert.ok(world.topic.has('Ada') && world.sendings > 0);
  }));

test('messages of before that come late, and owners that go, change nothing', async () => {
  const random: Seeded = testSeed('topic clearer');
  for (let round = 0; round < scaled('topic_clearer', { ci: 8, soak: 2_000 }); round++) {
    await inWorld(true, async (world) => {
      say(world);
      const until = random.int(0, 30);
      let clearer = world.clearer();
      const clearMs = await world.run({ tick: () => clearer.tick() } as TopicClearer, (step) => {
        if (step > until) return;
        if (random.chance(0.1)) world.topic.publish(4, 'Ada Lovelace');
        if (random.chance(0.1)) clearer = world.clearer();
      });
      assert.notEqual(clearMs, undefined, `round ${round}: it is never clear`);
      assert.equal(world.topic.has('Ada'), false, `round ${round}: after ${clearMs} ms`);
    });
  }
});

test('what was sealed from the beginning is not looked for', () =>
  inWorld(false, async (world) => {
    await world.run(world.clearer());
    assert.deepEqual([world.topic.looks, world.sendings], [0, 0]);
  }));
