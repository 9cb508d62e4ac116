import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firstHlcOf } from '@memplane/clock';
import {
  type EventPayload,
  type Json,
  MemplaneError,
  type Replay,
  TOPICS,
  turnText,
} from '@memplane/contracts';
import { type LogRecord, partitionOf } from '@memplane/event-log';
import fc from 'fast-check';
import { foldRecords } from './drivers/applier.ts';
import { feedSource } from './drivers/feed-sources.ts';
import { openFeed } from './drivers/feed-stream.ts';
import { ReplayJobs } from './drivers/replay-jobs.ts';
import { ViewStore } from './drivers/view-store.ts';
import { naiveFold } from './naive-fold.ts';
import { waiting } from './reads/cuts.ts';
import type { Plane } from './reads/plane.ts';
import { planReplay } from './reads/replays.ts';
import type { ShardSet } from './shard-set.ts';
import {
  MemoryLog,
  openShards,
  TEST_CONFIG,
  TEST_SETTINGS,
  type TestEvent,
  withFolder,
} from './testing.ts';

const PARTITIONS = 2;
const START_MS = 1_700_000_000_000;
const signal = new AbortController().signal;
const isOwned = () => true;

type Change = Omit<TestEvent, 'hlc'>;

class World {
  readonly log: MemoryLog;
  readonly records: LogRecord[][] = [[], []];
  readonly plane: Plane;
  readonly #store: ViewStore;
  #ms = START_MS;

  static async open(store: ViewStore): Promise<World> {
    const log = new MemoryLog(PARTITIONS);
    return new World(log, store, await openShards(store, log.info));
  }

  private constructor(log: MemoryLog, store: ViewStore, shards: ShardSet) {
    this.log = log;
    this.#store = store;
    const settings = { time_cut_settle_ms: 0, query_scan_rows_max: 1000, trace_nodes_max: 100 };
    this.plane = { log: this.log, store, shards, settings, now: () => this.#ms + 1_000 };
  }

  async append(events: readonly Change[], batch = 512): Promise<void> {
    for (const event of events) {
      this.#ms += 1;
      const partition = partitionOf(event.entity, PARTITIONS);
      const record = this.log.append(partition, { ...event, hlc: firstHlcOf(this.#ms) });
      this.records[partition]?.push(record);
    }
    for (const shard of this.plane.shards) {
      for (;;) {
        const { partition } = shard;
        const options = { maxBytes: 1, maxRecords: batch };
        const next = await this.log.read(partition, shard.applied + 1, options);
        if (next.length === 0) break;
        const { rocks } = this.#store;
        const fold = await foldRecords(rocks, shard.record, partition, next, TEST_SETTINGS);
        await rocks.write(fold.writes);
        shard.advance(fold.shard);
      }
    }
  }
}

async function withWorld(check: (world: World) => Promise<void>): Promise<void> {
  await withFolder(async (dir) => {
    const store = await ViewStore.open(dir, 1 << 20);
    try {
      await check(await World.open(store));
    } finally {
      await store.close();
    }
  });
}

interface Line {
  readonly partition: number;
  readonly offset: number;
  readonly epoch: number;
  readonly event?: { readonly id: string; readonly data: EventPayload };
  readonly key: string;
  readonly view: { readonly attributes: unknown; readonly sequence: number };
}

interface ReadOptions {
  readonly from?: number;
  readonly limit?: number;
  readonly chunk?: number;
  readonly waitMs?: number;
  readonly select?: 'recall';
}

async function read(
  world: World,
  topic: string,
  partition: number,
  options: ReadOptions = {},
): Promise<Line[]> {
  const { from = 0, limit = 100_000, chunk = 1, waitMs = 0, select } = options;
  const shard = world.plane.shards.at(partition);
  const request = { topic, format: 'ndjson' as const, shard, isOwned, from, limit, waitMs, signal };
  const settings = { ...TEST_CONFIG, feed_chunk_bytes: chunk };
  let text = '';
  const source = feedSource(topic, world.plane, { select });
  for await (const part of await openFeed(source, request, settings)) {
    text += part.toString();
  }
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
}

const change = fc.record({
  id: fc.integer({ min: 0, max: 60 }).map(String),
  entity: fc.constantFrom('user/1', 'user/2', 'user/3', 'agent/x'),
  type: fc.constantFrom('A', 'B'),
  data: fc.record(
    {
      data: fc.string({ maxLength: 50 }),
      attributes: fc.dictionary(fc.constantFrom('p', 'q'), fc.oneof(fc.nat(5), fc.constant(null))),
      memory: fc.record({ id: fc.constantFrom('m', 'n'), text: fc.string({ maxLength: 9 }) }),
    },
    { requiredKeys: [] },
  ),
}) as fc.Arbitrary<Change>;
const changes = fc.array(change, { minLength: 1, maxLength: 60, size: 'max' });

test('the feed of events is the log, wherever it is taken up, and marks what the views left out', async () => {
  await fc.assert(
    fc.asyncProperty(changes, fc.nat(30), fc.integer({ min: 1, max: 9 }), (events, from, limit) =>
      withWorld(async (world) => {
        await world.append(events, limit);
        for (const partition of [0, 1]) {
          const records = world.records[partition] ?? [];
          const seen = new Set<string>();
          const all = records.map((record) => {
            const event = JSON.parse(record.value.toString()) as { id: string; subject: string };
            const isKnown = seen.has(`${event.subject} ${event.id}`);
            seen.add(`${event.subject} ${event.id}`);
            const mark = isKnown ? { applied: false } : {};
            return { partition, offset: record.offset, epoch: 0, ...mark, event };
          });
          const expected = all.slice(from, from + limit);
          assert.deepEqual(await read(world, TOPICS.events, partition, { from, limit }), expected);
        }
      }),
    ),
    { numRuns: 15 },
  );
});

test('the feed of views gives each entity once, at its newest change', async () => {
  await fc.assert(
    fc.asyncProperty(changes, fc.integer({ min: 1, max: 9 }), fc.nat(40), (events, batch, from) =>
      withWorld(async (world) => {
        await world.append(events, batch);
        for (const partition of [0, 1]) {
          const { entities } = naiveFold(world.records[partition] ?? []);
          const lines = await read(world, TOPICS.views, partition, { from });
          const offsets = lines.map((line) => line.offset);
          assert.deepEqual(
            offsets,
            [...new Set(offsets)].sort((a, b) => a - b),
          );
          const all = from === 0 ? lines : await read(world, TOPICS.views, partition);
          assert.deepEqual(
            lines,
            all.filter((line) => line.offset >= from),
          );
          assert.deepEqual(all.map((line) => line.key).sort(), [...entities.keys()].sort());
          for (const { key, view } of all) {
            assert.deepEqual(view.attributes, entities.get(key)?.attributes);
            assert.equal(view.sequence, entities.get(key)?.sequence);
          }
        }
      }),
    ),
    { numRuns: 15 },
  );
});

const meaning = fc.oneof(
  fc.record({ text: fc.string({ maxLength: 9 }) }).map((data) => ({ data })),
  fc.record({ memory: fc.record({ id: fc.constantFrom('m', 'n'), forgotten: fc.constant(true) }) }),
);
const some = fc.array(
  fc.oneof(
    change,
    fc.tuple(change, meaning).map(([one, data]) => ({ ...one, data }) as Change),
  ),
  { minLength: 1, maxLength: 60, size: 'max' },
);

test('a feed for recall leaves out nothing of it, and tells how far it goes', async () => {
  await fc.assert(
    fc.asyncProperty(some, fc.constantFrom(1, 300, 100_000), (list, chunk) =>
      withWorld(async (world) => {
        await world.append(list);
        for (let partition = 0; partition < PARTITIONS; partition++) {
          const all = await read(world, TOPICS.events, partition);
          const found = await read(world, TOPICS.events, partition, { chunk, select: 'recall' });
          assert.equal(found.at(-1)?.offset, all.at(-1)?.offset);
          const means = ({ event }: Line) =>
            event !== undefined && (event.data.memory ?? turnText(event.data)) !== undefined;
          assert.deepEqual(found.filter(means), all.filter(means));
          if (chunk > 300) assert.ok(found.filter(({ event }) => event === undefined).length <= 1);
        }
      }),
    ),
    { numRuns: 15 },
  );
});

test('a feed that is kept open gives what is applied meanwhile', async () => {
  await withWorld(async (world) => {
    const entity = 'user/1';
    const partition = partitionOf(entity, PARTITIONS);
    const shard = world.plane.shards.at(partition);
    const source = feedSource(TOPICS.events, world.plane);
    const request = {
      topic: TOPICS.events,
      format: 'sse' as const,
      shard,
      isOwned,
      from: 0,
      limit: 2,
      waitMs: 30_000,
      signal,
    };
    const stream = await openFeed(source, request, TEST_CONFIG);
    const first = stream.next();
    await world.append([{ id: '1', entity, data: {} }]);
    assert.match(String((await first).value), /^id: 0\nevent: agent-events\ndata: \{.*\}\n\n$/);
    const second = stream.next();
    await world.append([{ id: '2', entity, data: {} }]);
    assert.match(String((await second).value), /^id: 1\n/);
    assert.equal((await stream.next()).done, true);
  });
});

async function replay(world: World, body: Record<string, unknown>): Promise<Replay> {
  const jobs = new ReplayJobs(TEST_CONFIG);
  const request = { projection: 'view' as const, ...body };
  const work = await planReplay(world.plane, 'default', request, TEST_CONFIG, waiting(0, signal));
  const id = jobs.submit('default', work);
  await jobs.wait('default', id, 20_000);
  const state = jobs.get('default', id);
  await jobs.stop();
  return state;
}

test('a replay of everything equals the live views, and its digest is the same every time', async () => {
  await fc.assert(
    fc.asyncProperty(changes, fc.integer({ min: 1, max: 9 }), (events, batch) =>
      withWorld(async (world) => {
        await world.append(events, batch);
        const first = await replay(world, {});
        assert.equal(first.status, 'done', JSON.stringify(first.problem));
        assert.equal(first.difference?.different, 0);
        const naive = [...(world.records ?? [])].flatMap((r) => [...naiveFold(r).entities]);
        assert.equal(first.result?.entitiesTotal, naive.length);
        for (const [entity, { attributes, sequence }] of naive) {
          const found = first.result?.entities.find((item) => item.entity === entity)?.result as {
            [key: string]: Json;
          };
          assert.deepEqual(found['attributes'], attributes);
          assert.equal(found['sequence'], sequence);
        }
        const again = await replay(world, { to: first.token });
        assert.equal(again.digest, first.digest);
        await world.append([{ id: 'later', entity: 'user/1', data: { attributes: { z: 1 } } }]);
        const later = await replay(world, { to: first.token });
        assert.equal(later.digest, first.digest);
        assert.deepEqual(
          later.difference?.entities.map(({ entity }) => entity),
          naive.some(([entity]) => entity === 'user/1') ? ['user/1'] : [],
        );
        assert.notEqual((await replay(world, {})).digest, first.digest);
      }),
    ),
    { numRuns: 10 },
  );
});

test('a replay of a part folds that part alone, and tells where it parts from live', async () => {
  await withWorld(async (world) => {
    const entity = 'user/1';
    await world.append([
      { id: 'a', entity, type: 'Set', data: { attributes: { x: 1, y: 1 } } },
      { id: 'b', entity, type: 'Noise', data: { attributes: { x: 2 } } },
      { id: 'c', entity, type: 'Set', data: { attributes: { y: null } } },
      { id: 'd', entity: 'user/2', type: 'Set', data: { attributes: { other: true } } },
    ]);
    const sets = await replay(world, { entities: [entity], types: ['Set'] });
    assert.deepEqual(sets.result?.entities[0]?.result, {
      attributes: { x: 1 },
      memories: [],
      sequence: 2,
    });
    assert.deepEqual(sets.difference?.entities[0]?.paths, ['attributes.x', 'sequence']);
    const upTo = await replay(world, { entities: [entity], to: 'event:b' });
    assert.deepEqual((upTo.result!.entities[0]!.result as { attributes: Json }).attributes, {
      x: 2,
      y: 1,
    });
    const since = await replay(world, { entities: [entity], from: 'b', to: 'event:b' });
    assert.equal(since.events.folded, 1);
    const counts = await replay(world, { projection: 'counts-by-type' });
    assert.deepEqual(counts.result?.totals, { Noise: 1, Set: 3 });
    assert.equal(counts.difference?.different, 0);
    await assert.rejects(
      replay(world, { to: 'event:b' }),
      (error) => error instanceof MemplaneError && error.code === 'invalid_as_of',
    );
  });
});

test('replays wait in turn, a bounded number of them', async () => {
  const settings = { ...TEST_CONFIG, replays_waiting_max: 1, replays_kept_max: 1 };
  const jobs = new ReplayJobs(settings);
  const gates = [0, 1].map(() => Promise.withResolvers<never>());
  const work = (i: number) => ({
    projection: 'view' as const,
    token: 'mpt_',
    counts: () => ({ read: 0, folded: 0 }),
    run: () => gates[i]?.promise as Promise<never>,
  });
  const first = jobs.submit('t', work(0));
  const second = jobs.submit('t', work(1));
  assert.deepEqual(
    [jobs.get('t', first).status, jobs.get('t', second).status],
    ['running', 'queued'],
  );
  assert.throws(() => jobs.submit('t', work(1)), MemplaneError);
  assert.throws(() => jobs.get('other', first), MemplaneError);
  gates[0]?.reject(new MemplaneError('storage_damaged', 'x'));
  await jobs.wait('t', first, 5_000);
  assert.equal(jobs.get('t', first).problem?.code, 'storage_damaged');
  gates[1]?.reject(new Error('x'));
  await jobs.wait('t', second, 5_000);
  assert.equal(jobs.get('t', second).status, 'failed');
  await jobs.stop();
});
