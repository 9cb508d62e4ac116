import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firstHlcOf } from '@memplane/clock';
import { encodeToken, type Json } from '@memplane/contracts';
import type { LogRecord } from '@memplane/event-log';
import { partitionOf } from '@memplane/event-log';
import { compileFilter, parseFilter } from '@memplane/filter';
import fc from 'fast-check';
import { foldRecords } from './drivers/applier.ts';
import { ViewStore } from './drivers/view-store.ts';
import { WorkingSet } from './drivers/working-set.ts';
import { naiveFold } from './naive-fold.ts';
import { resolveAsOf, waiting } from './reads/cuts.ts';
import { digestViews } from './reads/digest.ts';
import { readEntity } from './reads/entity.ts';
import { KnownPast } from './reads/known-past.ts';
import { checkItems } from './reads/liveness.ts';
import { keysOf, type Plane } from './reads/plane.ts';
import { queryEntities } from './reads/query.ts';
import {
  MemoryLog,
  openShards,
  TEST_LOG_ID,
  TEST_SETTINGS,
  type TestEvent,
  withFolder,
} from './testing.ts';

const PARTITIONS = 2;
const ENTITIES = ['user/1', 'user/2', 'session/a', 'session/b', 'agent/x'];
const signal = new AbortController().signal;
const START_MS = 1_700_000_000_000;

const scalar = fc.oneof(
  fc.constantFrom('a', 'b', 'ä\u0000z', '\u{1f600}'),
  fc.integer({ min: -3, max: 3 }),
  fc.boolean(),
  fc.constant(null),
);
const patch = fc.dictionary(
  fc.constantFrom('p', 'q', 'q.r', '7', '__proto__x'),
  fc.oneof(
    scalar,
    fc.array(scalar, { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('r', 's'), scalar, { maxKeys: 2 }),
    fc.constant([{ r: 1 }, { r: 'a' }]),
  ),
  { maxKeys: 3 },
);
const memory = fc.oneof(
  fc.record({ id: fc.constantFrom('m1', 'm2', 'é'), forgotten: fc.constant(true as const) }),
  fc.record(
    {
      id: fc.constantFrom('m1', 'm2', 'é'),
      text: fc.string({ maxLength: 200 }),
      ttl: fc.integer({ min: 1, max: 20 }),
    },
    { requiredKeys: ['id'] },
  ),
);
const eventArbitrary = fc.record({
  id: fc.integer({ min: 0, max: 40 }).map(String),
  entity: fc.constantFrom(...ENTITIES),
  type: fc.constantFrom('SessionStarted', 'SessionEnded', 'Said'),
  stepMs: fc.integer({ min: -3, max: 5 }),
  /** A second copy of an event before it takes its place, as after a lost answer. */
  copyOf: fc.option(fc.nat(79), { freq: 5 }),
  data: fc.record(
    { data: fc.string({ maxLength: 300 }), attributes: patch, memory },
    { requiredKeys: [] },
  ),
});
const story = fc.record({
  events: fc.array(eventArbitrary, { minLength: 1, maxLength: 80, size: 'max' }),
  batch: fc.integer({ min: 1, max: 40 }),
});

type Story = typeof story extends fc.Arbitrary<infer T> ? T : never;

async function withViews(
  { events, batch }: Story,
  check: (plane: Plane, records: LogRecord[][]) => Promise<void>,
): Promise<void> {
  await withFolder(async (dir) => {
    const log = new MemoryLog(PARTITIONS);
    const records: LogRecord[][] = Array.from({ length: PARTITIONS }, () => []);
    let ms = START_MS;
    for (const [i, own] of events.entries()) {
      const source = own.copyOf === null ? own : (events[own.copyOf % (i + 1)] ?? own);
      const { stepMs: _step, copyOf: _copy, ...event } = source;
      ms += own.stepMs;
      const partition = partitionOf(event.entity, PARTITIONS);
      const made = { ...event, hlc: firstHlcOf(ms) } as TestEvent;
      records[partition]?.push(log.append(partition, made));
    }
    const store = await ViewStore.open(dir, 1 << 20);
    try {
      const shards = await openShards(store, log.info);
      for (const shard of shards) {
        const known = new WorkingSet(-1, {
          entity_cache_bytes_max: 8_192,
          key_filter_bytes: 1_024,
        });
        shard.latest = known;
        for (;;) {
          const from = shard.applied + 1;
          const next = await log.read(shard.partition, from, { maxBytes: 1, maxRecords: batch });
          if (next.length === 0) break;
          const { rocks } = store;
          const folded = await foldRecords(
            rocks,
            shard.record,
            shard.partition,
            next,
            TEST_SETTINGS,
            known,
          );
          await rocks.write(folded.writes);
          folded.written();
          shard.advance(folded.shard);
        }
      }
      const settings = {
        time_cut_settle_ms: 0,
        query_scan_rows_max: 10_000,
        trace_nodes_max: 100,
      };
      await check({ log, store, shards, settings, now: () => ms + 1_000 }, records);
    } finally {
      await store.close();
    }
  });
}

async function view(plane: Plane, entity: string, asOf?: string): Promise<unknown> {
  const wait = waiting(0, signal);
  const request = { tenant: 'default', entity, after: undefined, asOf, wait };
  try {
    const answer = JSON.parse(await readEntity(plane, request)) as {
      attributes: unknown;
      sequence: number;
      timeMs: number;
      memories: { id: string; text?: string; eventId: string; offset: number }[];
    };
    return answer;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'not_found') return undefined;
    throw error;
  }
}

/** The same of the naive fold, at the time that the answer names. */
function expected(records: readonly LogRecord[], entity: string, timeMs: number): unknown {
  const found = naiveFold(records).entities.get(entity);
  if (found === undefined) return undefined;
  const memories = [...found.memories]
    .filter(([, memory]) => timeMs < memory.endsMs)
    .map(([id, { endsMs: _ends, ...memory }]) => ({ id, ...memory }))
    .sort((a, b) => a.offset - b.offset);
  return { attributes: found.attributes, sequence: found.sequence, memories };
}

function essence(answer: unknown): unknown {
  if (answer === undefined) return undefined;
  const { attributes, sequence, memories } = answer as {
    attributes: unknown;
    sequence: number;
    memories: { id: string; text?: string; eventId: string; offset: number }[];
  };
  const bare = memories.map(({ id, text, eventId, offset }) => ({
    id,
    ...(text === undefined ? {} : { text }),
    eventId,
    offset,
  }));
  return { attributes, sequence, memories: bare };
}

test('views, counters and every past state equal a naive fold', async () => {
  await fc.assert(
    fc.asyncProperty(story, (given) =>
      withViews(given, async (plane, records) => {
        for (const shard of plane.shards) {
          const all = records[shard.partition] ?? [];
          const naive = naiveFold(all);
          assert.equal(shard.record.duplicates, naive.duplicates);
          assert.equal(shard.record.rejected, naive.rejected);
          assert.equal(shard.record.activeSessions, naive.sessions);
          assert.equal(
            shard.record.eventsTotal,
            [...naive.entities.values()].reduce((sum, entity) => sum + entity.sequence, 0),
          );
        }
        for (const entity of ENTITIES) {
          const all = records[partitionOf(entity, PARTITIONS)] ?? [];
          assert.deepEqual(essence(await view(plane, entity)), expected(all, entity, plane.now()));
          for (let offset = 0; offset < all.length; offset++) {
            const prefix = all.slice(0, offset + 1);
            const newest =
              prefix
                .map(({ hlc }) => hlc)
                .sort((a, b) => (a < b ? -1 : 1))
                .at(-1) ?? 0n;
            const answer = await view(plane, entity, `offset:${offset}`);
            assert.deepEqual(essence(answer), expected(prefix, entity, Number(newest >> 16n)));
            if (answer !== undefined) {
              assert.equal((answer as { timeMs: number }).timeMs, Number(newest >> 16n));
            }
          }
        }
      }),
    ),
    { numRuns: 25 },
  );
});

test('what is known of the past without the store is what the store has', async () => {
  const orders = fc.record({
    bytesMax: fc.integer({ min: 0, max: 20_000 }),
    offsets: fc.array(fc.nat(60), { minLength: 100, maxLength: 200 }),
  });
  let known = 0;
  await fc.assert(
    fc.asyncProperty(story, orders, (given, { bytesMax, offsets }) =>
      withViews(given, async (plane) => {
        const histories = new KnownPast(plane.store, { history_cache_bytes_max: bytesMax });
        const knowing: Plane = { ...plane, known: histories };
        for (const entity of ENTITIES) {
          const keys = keysOf(plane.log.info, 'default', entity);
          const shard = plane.shards.at(keys.partition);
          for (const offset of offsets) {
            if (offset > shard.applied) continue;
            if (histories.stateAt(shard, keys, entity, offset) !== undefined) known++;
            const found = await view(knowing, entity, `offset:${offset}`);
            assert.deepEqual(found, await view(plane, entity, `offset:${offset}`));
          }
        }
      }),
    ),
    { numRuns: 10 },
  );
  assert.ok(known > 25, `${known} were known`);
});

test('what is known without the store is what the store has', async () => {
  let known = 0;
  await fc.assert(
    fc.asyncProperty(story, (given) =>
      withViews(given, async (plane) => {
        for (const entity of ENTITIES) {
          const shard = plane.shards.at(partitionOf(entity, PARTITIONS));
          const remembered = await view(plane, entity);
          if (shard.latest?.latest(entity)?.liveMemories !== undefined) known++;
          shard.latest = undefined;
          assert.deepEqual(remembered, await view(plane, entity));
        }
      }),
    ),
    { numRuns: 25 },
  );
  assert.ok(known > 25, `${known} were known`);
});

test('a time cuts at the longest prefix of stamps at or before it', async () => {
  await fc.assert(
    fc.asyncProperty(story, fc.integer({ min: -5, max: 200 }), (given, stepMs) =>
      withViews(given, async (plane, records) => {
        const timeMs = START_MS + stepMs;
        const asOf = new Date(timeMs).toISOString();
        if (timeMs >= plane.now()) return;
        const cut = await resolveAsOf(plane, { asOf, tenant: 'default', wait: waiting(0, signal) });
        for (const [partition, all] of records.entries()) {
          const first = all.findIndex(({ hlc }) => Number(hlc >> 16n) > timeMs);
          assert.equal(cut.offsets.get(partition), (first < 0 ? all.length : first) - 1);
        }
        assert.equal(cut.timeMs, timeMs);
      }),
    ),
    { numRuns: 60 },
  );
});

const condition = fc.oneof(
  scalar,
  fc.record({ $gte: scalar }),
  fc.record({ $gt: scalar, $lte: scalar }),
  fc.record({ $lt: scalar }),
  fc.record({ $in: fc.array(scalar, { maxLength: 3 }) }),
  fc.record({ $ne: scalar }),
  fc.record({ $exists: fc.boolean() }),
);
const simple = fc.dictionary(fc.constantFrom('p', 'q', 'q.r', 'q.s', '7'), condition, {
  maxKeys: 2,
});
const filters = fc.oneof(
  simple,
  fc.record({ $or: fc.array(simple, { minLength: 1, maxLength: 2 }) }),
  fc.record({ $not: simple }),
);

test('a query finds what a naive evaluation finds, page by page, now and in the past', async () => {
  await fc.assert(
    fc.asyncProperty(
      story,
      filters,
      fc.nat(80),
      fc.integer({ min: 1, max: 3 }),
      (given, filter, at, limit) =>
        withViews(given, async (plane, records) => {
          const matches = compileFilter(parseFilter(filter, { field: 'filter' }));
          const ends = records.map((all) => Math.min(at, all.length) - 1);
          const token = encodeToken({
            logId: TEST_LOG_ID,
            epoch: 0,
            offsets: new Map(ends.entries()),
          });
          for (const asOf of [undefined, token]) {
            const wanted: string[] = [];
            for (const [partition, all] of records.entries()) {
              const end = asOf === undefined ? all.length : (ends[partition] ?? -1) + 1;
              for (const [entity, state] of naiveFold(all.slice(0, end)).entities) {
                if (matches(state.attributes as Json)) wanted.push(entity);
              }
            }
            const found: string[] = [];
            let cursor: string | undefined;
            do {
              const request = { filter, limit, ...(cursor ? { cursor } : asOf ? { asOf } : {}) };
              const page = await queryEntities(plane, 'default', request, waiting(0, signal));
              found.push(...page.entities.map(({ entity }) => entity));
              cursor = page.cursor;
            } while (cursor !== undefined);
            assert.deepEqual(found.sort(), wanted.sort());
          }
        }),
    ),
    { numRuns: 60 },
  );
});

test('a version is live at a cut when the view of that cut shows it', async () => {
  await fc.assert(
    fc.asyncProperty(story, fc.nat(80), (given, at) =>
      withViews(given, async (plane, records) => {
        const ends = records.map((all) => Math.min(at, all.length) - 1);
        const cut = encodeToken({ logId: TEST_LOG_ID, epoch: 0, offsets: new Map(ends.entries()) });
        const items = records.flat().flatMap(({ value, offset }) => {
          const event = JSON.parse(value.toString());
          const { memory } = event.data;
          const base = { entity: event.subject, eventId: event.id, offset };
          return [
            { ...base, memoryId: memory?.id ?? event.id, turn: false },
            { ...base, memoryId: event.id, turn: true },
          ];
        });
        const request = { cut, items };
        const answer = (await checkItems(plane, 'default', request, waiting(0, signal))) as {
          timeMs: number;
          items: { live: boolean }[];
        };
        for (const [i, item] of items.entries()) {
          const partition = partitionOf(item.entity, PARTITIONS);
          const prefix = (records[partition] ?? []).slice(0, (ends[partition] ?? -1) + 1);
          const state = naiveFold(prefix).entities.get(item.entity);
          const memory = state?.memories.get(item.memoryId);
          const first = prefix.find(({ value }) => {
            const event = JSON.parse(value.toString());
            return event.subject === item.entity && event.id === item.eventId;
          });
          const live = item.turn
            ? first?.offset === item.offset
            : memory?.offset === item.offset && answer.timeMs < memory.endsMs;
          assert.equal(answer.items[i]?.live, live, JSON.stringify(item));
        }
      }),
    ),
    { numRuns: 40 },
  );
});

test('a digest does not depend on how the log was cut into batches', async () => {
  await fc.assert(
    fc.asyncProperty(story, async (given) => {
      const digests = new Set<string>();
      for (const batch of [1, 7, 1000]) {
        await withViews({ ...given, batch }, async (plane) => {
          digests.add(JSON.stringify(await digestViews(plane, undefined, waiting(0, signal))));
        });
      }
      assert.equal(digests.size, 1);
    }),
    { numRuns: 10 },
  );
});
