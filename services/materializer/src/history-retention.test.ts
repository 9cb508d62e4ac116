import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { firstHlcOf, hlcToMs } from '@memplane/clock';
import { type EventPayload, encodeToken, MemplaneError, TOPICS } from '@memplane/contracts';
import { type LogRecord, partitionOf } from '@memplane/event-log';
import { createLogger } from '@memplane/runtime';
import fc from 'fast-check';
import { after, offsetAtEnd, ShardKeys, toKey } from './domain/keys.ts';
import { foldRecords } from './drivers/applier.ts';
import { feedSource } from './drivers/feed-sources.ts';
import { HistoryPruner } from './drivers/history-pruner.ts';
import { ViewStore } from './drivers/view-store.ts';
import { resolveAsOf, waiting } from './reads/cuts.ts';
import { digestViews } from './reads/digest.ts';
import { readEntity } from './reads/entity.ts';
import { readEvent, readHistory } from './reads/history.ts';
import { KnownPast } from './reads/known-past.ts';
import { checkItems } from './reads/liveness.ts';
import type { Plane } from './reads/plane.ts';
import { queryEntities } from './reads/query.ts';
import { readTrace } from './reads/trace.ts';
import type { Shard } from './shard.ts';
import { MemoryLog, openShards, TEST_LOG_ID, TEST_SETTINGS, withFolder } from './testing.ts';

const PARTITIONS = 2;
const ENTITIES = ['user/1', 'user/2', 'user/22', 'agent/x', 'session/a'];
const START_MS = 1_700_000_000_000;
const RETENTION_MS = 60;
const SETTINGS = { ...TEST_SETTINGS, historyRetentionMs: RETENTION_MS };
const signal = new AbortController().signal;
const logger = createLogger('test', 'silent');
const tenant = 'default';

const scalar = fc.oneof(fc.constantFrom('a', 'b', 'ä'), fc.nat(3), fc.boolean(), fc.constant(null));
const eventArbitrary = fc.record({
  id: fc.nat(60).map(String),
  entity: fc.constantFrom(...ENTITIES),
  type: fc.constantFrom('SessionStarted', 'SessionEnded', 'Said'),
  stepMs: fc.integer({ min: -2, max: 6 }),
  causationId: fc.option(fc.nat(60).map(String), { freq: 3 }),
  data: fc.record(
    {
      data: fc.string({ maxLength: 100 }),
      attributes: fc.dictionary(fc.constantFrom('p', 'q', 'r'), scalar, { maxKeys: 2 }),
      memory: fc.oneof(
        fc.record({ id: fc.constantFrom('m1', 'm2', 'm3'), forgotten: fc.constant(true as const) }),
        fc.record(
          {
            id: fc.constantFrom('m1', 'm2', 'm3'),
            text: fc.string({ maxLength: 40 }),
            ttl: fc.integer({ min: 1, max: 90 }),
          },
          { requiredKeys: ['id'] },
        ),
      ),
    },
    { requiredKeys: [] },
  ),
});
const story = fc.record({
  events: fc.array(eventArbitrary, { minLength: 30, maxLength: 120, size: 'max' }),
  batch: fc.integer({ min: 1, max: 20 }),
  rowsMax: fc.integer({ min: 1, max: 12 }),
  /** After how many writes each removal is cut off, as by a crash; it goes on the next time. */
  cuts: fc.array(fc.nat(12), { minLength: 1, maxLength: 6 }),
});

interface TwoPlanes {
  readonly pruned: Plane;
  /** The same, and nothing is ever removed. */
  readonly whole: Plane;
}

async function openPlane(dir: string, log: MemoryLog, now: () => number): Promise<Plane> {
  const store = await ViewStore.open(dir, 1 << 20);
  const shards = await openShards(store, log.info);
  const settings = { time_cut_settle_ms: 0, query_scan_rows_max: 10_000, trace_nodes_max: 100 };
  return { log, store, shards, settings, now };
}

async function applyNext(plane: Plane, shard: Shard, maxRecords: number): Promise<boolean> {
  const { partition, applied } = shard;
  const next = await plane.log.read(partition, applied + 1, { maxBytes: 1, maxRecords });
  if (next.length === 0) return false;
  await shard.exclusively(async () => {
    const { rocks } = plane.store;
    const fold = await foldRecords(rocks, shard.record, partition, next, SETTINGS);
    await rocks.write(fold.writes);
    shard.advance(fold.shard);
  });
  return true;
}

function prunerOf({ store, shards }: Plane, rowsMax: number): HistoryPruner {
  const bounds = { history_prune_rows_max: rowsMax, history_prune_bytes_max: 4096 };
  const settings = { historyRetentionMs: RETENTION_MS, historyPruneTickMs: 1, ...bounds };
  return new HistoryPruner({ store, shards, logger, onPruned: () => {} }, settings);
}

/** One removal, broken off after some writes. @returns whether it came to its end */
async function prune(plane: Plane, shard: Shard, rowsMax: number, writes: number) {
  let left = writes;
  for await (const _ of prunerOf(plane, rowsMax).prune(shard)) if (--left < 0) return false;
  return true;
}

async function outcome(work: () => Promise<unknown>): Promise<unknown> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof MemplaneError) return { code: error.code, field: error.field };
    throw error;
  }
}

const EXPIRED = (field: string) => ({ code: 'history_expired', field });

/** Every answer that the pruned plane gives, or refuses, against the one that has everything. */
async function compare({ pruned, whole }: TwoPlanes): Promise<void> {
  assert.deepEqual(
    await digestViews(pruned, undefined, waiting(0, signal)),
    await digestViews(whole, undefined, waiting(0, signal)),
  );
  const starts = [...pruned.shards].map(({ record }) => record.historyStart);
  for (const entity of ENTITIES) await compareEntity({ pruned, whole }, entity, starts);
  const applied = [...pruned.shards].map((shard) => shard.applied);
  for (let back = 0; back < 6; back++) {
    const offsets = new Map(
      applied.map((end, p) => [p, Math.max((starts[p] ?? 0) - 1, end - back * 7)]),
    );
    const timeMs = START_MS + back * 20;
    await compareCut(
      { pruned, whole },
      encodeToken({ logId: TEST_LOG_ID, epoch: 0, offsets, timeMs }),
    );
  }
  const at = (plane: Plane, ms: number) =>
    outcome(() =>
      resolveAsOf(plane, {
        asOf: `time:${new Date(ms).toISOString()}`,
        tenant,
        wait: waiting(0, signal),
      }),
    );
  const newest = Math.max(...[...whole.shards].map(({ record }) => hlcToMs(record.maxHlc)));
  for (let ms = START_MS - 5; ms <= newest; ms += 3) {
    const wanted = (await at(whole, ms)) as { offsets?: Map<number, number> };
    const isKept = starts.every((start, p) => {
      const offset = wanted.offsets?.get(p) ?? -1;
      return offset < 0 || offset >= start - 1;
    });
    const found = await at(pruned, ms);
    if (wanted.offsets === undefined) {
      assert.deepEqual(found, wanted, 'not all of it is applied yet');
      continue;
    }
    // Where nothing had happened yet nothing is missing; once that is forgotten, it is refused.
    if (isKept && [...wanted.offsets].every(([p, o]) => o >= 0 || starts[p] === 0)) {
      assert.deepEqual(found, wanted);
    } else if (!isKept) assert.deepEqual(found, EXPIRED('query.asOf'));
  }
}

async function compareEntity(
  { pruned, whole }: TwoPlanes,
  entity: string,
  starts: readonly number[],
): Promise<void> {
  const p = partitionOf(entity, PARTITIONS);
  const start = starts[p] ?? 0;
  const read = (plane: Plane, asOf?: string) =>
    outcome(() =>
      readEntity(plane, { tenant, entity, after: undefined, asOf, wait: waiting(0, signal) }),
    );
  assert.deepEqual(await read(pruned), await read(whole));
  const { applied } = whole.shards.at(p);
  for (let offset = 0; offset <= applied; offset++) {
    const asOf = `offset:${offset}`;
    const expected = offset < start - 1 ? EXPIRED('query.asOf') : await read(whole, asOf);
    assert.deepEqual(await read(pruned, asOf), expected, `${entity} at ${offset}, from ${start}`);
  }
  const history = (plane: Plane, from: number) =>
    outcome(() => readHistory(plane, { tenant, entity, from, limit: 1000 }, waiting(0, signal)));
  assert.deepEqual(await history(pruned, 0), await history(whole, start));
  if (start > 1) assert.deepEqual(await history(pruned, start - 1), EXPIRED('query.from'));
}

async function compareCut({ pruned, whole }: TwoPlanes, token: string) {
  for (const filter of [{ p: 'a' }, { q: { $gte: 1 } }, { r: { $exists: true } }]) {
    const ask = (plane: Plane) =>
      outcome(() =>
        queryEntities(
          plane,
          tenant,
          { filter, asOf: token, limit: 100 } as never,
          waiting(0, signal),
        ),
      );
    assert.deepEqual(await ask(pruned), await ask(whole), JSON.stringify(filter));
  }
  const items = (await memoryEvents(whole)).map(({ entity, memoryId, eventId, offset }) => {
    return { entity, memoryId, eventId, offset, turn: false };
  });
  const live = (plane: Plane) =>
    outcome(() => checkItems(plane, tenant, { cut: token, items, waitMs: 0 }, waiting(0, signal)));
  assert.deepEqual(await live(pruned), await live(whole), 'memories shown');
}

async function memoryEvents(plane: Plane) {
  const found: { entity: string; memoryId: string; eventId: string; offset: number }[] = [];
  for (const { partition, applied } of plane.shards) {
    for (const { offset, value } of await plane.log.read(partition, 0, { maxBytes: 1 })) {
      const event = JSON.parse(value.toString()) as {
        subject: string;
        id: string;
        data: EventPayload;
      };
      const { memory } = event.data;
      if (memory === undefined || 'forgotten' in memory || offset > applied) continue;
      found.push({ entity: event.subject, memoryId: memory.id, eventId: event.id, offset });
    }
  }
  return found;
}

/** After a whole removal: what the store has of before the start. */
async function compareLeft({ pruned, whole }: TwoPlanes): Promise<void> {
  for (const { partition, record } of pruned.shards) {
    const keys = new ShardKeys(tenant, partition);
    const rows = async (plane: Plane, table: 'v' | 'u' | 'y' | 'i' | 'e') =>
      await plane.store.rocks.scanAll({
        gte: toKey(keys.table(table)),
        lt: toKey(after(keys.table(table))),
        limit: 10_000,
      });
    const events = (await rows(pruned, 'v')).filter(({ key }) => key.at(-1) === 0);
    const before = events.map(({ key }) => offsetAtEnd(key, 1));
    const left = before.filter((offset) => offset < record.historyStart).sort((a, b) => a - b);
    // What the retained feed gives is what is left, and just what any cut can still show.
    const source = feedSource(TOPICS.events, pruned, { retained: true });
    const given: number[] = [];
    for (let next = 0; next < record.historyStart; ) {
      const step = await source(partition, next, 1);
      given.push(...step.lines.map((line) => line.offset));
      next = step.next;
    }
    assert.deepEqual(given, left);
    const shown = new Set<number>();
    const items = (await memoryEvents(whole)).map((item) => ({ ...item, turn: false }));
    for (let cut = record.historyStart - 1; cut <= record.applied; cut++) {
      const offsets = new Map([[partition, cut]]);
      const token = encodeToken({ logId: TEST_LOG_ID, epoch: 0, offsets, timeMs: 0 });
      const answer = await checkItems(
        whole,
        tenant,
        { cut: token, items, waitMs: 0 },
        waiting(0, signal),
      );
      for (const [i, { live }] of (answer as { items: { live: boolean }[] }).items.entries()) {
        const { offset = 0, entity = '' } = items[i] ?? {};
        const isHere = partitionOf(entity, PARTITIONS) === partition;
        if (live && isHere && offset < record.historyStart) shown.add(offset);
      }
    }
    assert.deepEqual(
      left,
      [...shown].sort((a, b) => a - b),
    );
    const wholeIds = (await rows(whole, 'i')).filter(
      ({ value }) => value.readUIntBE(2, 6) >= record.historyStart,
    );
    assert.deepEqual(await rows(pruned, 'i'), wholeIds);
    const wholeEffects = (await rows(whole, 'e')).filter(
      ({ key }) => offsetAtEnd(key) >= record.historyStart,
    );
    assert.deepEqual(await rows(pruned, 'e'), wholeEffects);
    for (const table of ['u', 'y'] as const) {
      const kept = (await rows(whole, table)).filter(
        ({ value }) => value.readUIntBE(2, 6) >= record.historyStart,
      );
      assert.deepEqual(await rows(pruned, table), kept, table);
    }
  }
}

test('whatever is removed: every cut that is kept answers as if nothing had been', async () => {
  let removed = 0;
  await fc.assert(
    fc.asyncProperty(story, ({ events, batch, rowsMax, cuts }) =>
      withFolder(async (dir) => {
        const log = new MemoryLog(PARTITIONS);
        let ms = START_MS;
        for (const { stepMs, causationId, ...event } of events) {
          ms += stepMs;
          const cause = causationId === null ? {} : { causationId };
          const made = {
            ...event,
            ...cause,
            hlc: firstHlcOf(ms),
            data: event.data as EventPayload,
          };
          log.append(partitionOf(event.entity, PARTITIONS), made);
        }
        const now = () => ms + 1_000;
        const without = await openPlane(join(dir, 'pruned'), log, now);
        // What it has read before it goes on knowing, and shows no more of it than the store would.
        const known = new KnownPast(without.store, { history_cache_bytes_max: 20_000 });
        const pruned: Plane = { ...without, known };
        const whole = await openPlane(join(dir, 'whole'), log, now);
        try {
          let round = 0;
          for (let more = true; more; round++) {
            more = false;
            for (const shard of pruned.shards) {
              const [applied] = await Promise.all([
                applyNext(pruned, shard, batch),
                applyNext(whole, whole.shards.at(shard.partition), batch),
                prune(pruned, shard, rowsMax, cuts[round % cuts.length] ?? 0),
              ]);
              more ||= applied;
            }
            if (round % 4 === 0) await compare({ pruned, whole });
          }
          // As after a restart; then everything that was begun is finished.
          for (const shard of await openShards(pruned.store, log.info)) {
            assert.deepEqual(shard.record, pruned.shards.at(shard.partition).record);
          }
          for (const shard of pruned.shards) {
            while (!(await prune(pruned, shard, rowsMax, 1_000)));
            removed += shard.record.historyStart;
          }
          await compare({ pruned, whole });
          await compareLeft({ pruned, whole });
        } finally {
          await pruned.store.close();
          await whole.store.close();
        }
      }),
    ),
    { endOnFailure: true, numRuns: Number(process.env['MEMPLANE_RETENTION_RUNS'] ?? 12) },
  );
  assert.ok(removed > 100, `only ${removed} offsets were removed`);
});

test('an id counts as known for as long as its history is kept, wherever it is applied', async () => {
  await withFolder(async (dir) => {
    const log = new MemoryLog(1);
    const say = (id: string, ms: number) => {
      const data = { data: id };
      return log.append(0, { id, entity: 'user/1', hlc: firstHlcOf(START_MS + ms), data });
    };
    const records: LogRecord[] = [
      say('a', 0),
      say('b', 30),
      say('a', 60),
      say('a', 61),
      say('a', 90),
    ];
    const counts: unknown[] = [];
    for (const batch of [1, 5]) {
      const plane = await openPlane(join(dir, String(batch)), log, Date.now);
      const shard = plane.shards.at(0);
      while (await applyNext(plane, shard, batch));
      const { eventsTotal, duplicates, rejected } = shard.record;
      counts.push([eventsTotal, duplicates, rejected]);
      await plane.store.close();
    }
    // At 60 ms the first is just young enough; at 61 it is not, and what comes then is the first.
    assert.deepEqual(counts, [
      [3, 2, 0],
      [3, 2, 0],
    ]);
    assert.equal(records.length, 5);
  });
});

test('where a removal was broken off, what got too old since then goes in the same turn', async () => {
  await withFolder(async (dir) => {
    const log = new MemoryLog(1);
    for (let i = 0; i < 10; i++) {
      const hlc = firstHlcOf(START_MS + i * RETENTION_MS);
      log.append(0, { id: `e${i}`, entity: 'user/1', hlc, data: { attributes: { p: i } } });
    }
    const plane = await openPlane(join(dir, 'views'), log, Date.now);
    const shard = plane.shards.at(0);
    for (let i = 0; i < 5; i++) await applyNext(plane, shard, 1);
    assert.equal(await prune(plane, shard, 1, 1), false);
    assert.equal(shard.record.historyStart, 3);
    while (await applyNext(plane, shard, 10));
    assert.equal(await prune(plane, shard, 100, 1_000), true);
    assert.equal(shard.record.historyStart, 8);
    await plane.store.close();
  });
});

test('a start that moves while a read is under way: all of the answer, or 410', async () => {
  await withFolder(async (dir) => {
    const log = new MemoryLog(1);
    for (let i = 0; i < 120; i++) {
      const memory = { id: `m${i % 2}`, text: `text ${i}` };
      const data = { attributes: { p: i % 3 }, memory };
      log.append(0, { id: `e${i}`, entity: 'user/1', hlc: firstHlcOf(START_MS + i), data });
    }
    const offsets = new Map([[0, 10]]);
    const cut = encodeToken({ logId: TEST_LOG_ID, epoch: 0, offsets, timeMs: START_MS + 10 });
    const request = { tenant, entity: 'user/1', after: undefined, wait: waiting(0, signal) };
    const items = [9, 10, 11].map((i) => {
      const ids = { memoryId: `m${i % 2}`, eventId: `e${i}`, offset: i, turn: false };
      return { entity: 'user/1', ...ids };
    });
    const body = { filter: { p: 1 }, asOf: cut, limit: 10 } as never;
    const reads: [field: string, read: (plane: Plane) => Promise<unknown>][] = [
      ['query.asOf', (plane) => readEntity(plane, { ...request, asOf: 'offset:10' })],
      ['query.asOf', (plane) => readEntity(plane, { ...request, asOf: `token:${cut}` })],
      ['body.asOf', (plane) => queryEntities(plane, tenant, body, request.wait)],
      [
        'body.cut',
        (plane) => checkItems(plane, tenant, { cut, items, waitMs: 0 }, waiting(0, signal)),
      ],
    ];
    let refusals = 0;
    for (const [n, [field, read]] of reads.entries()) {
      let calls = Number.POSITIVE_INFINITY;
      for (let at = 0; at < calls; at++) {
        const plane = await openPlane(join(dir, `${n}-${at}`), log, () => START_MS + 1_000);
        while (await applyNext(plane, plane.shards.at(0), 100));
        const expected = await read(plane);
        calls = 0;
        // All that is too old goes just before the read takes its n-th snapshot.
        const store = {
          read: async (work: Parameters<ViewStore['read']>[0]) => {
            if (calls++ === at) assert.ok(await prune(plane, plane.shards.at(0), 50, 1_000));
            return await plane.store.read(work);
          },
        };
        const found = await outcome(() => read({ ...plane, store: store as unknown as ViewStore }));
        const isRefused = found !== null && typeof found === 'object' && 'code' in found;
        if (isRefused) refusals++;
        assert.deepEqual(found, isRefused ? EXPIRED(field) : expected, `${n} at ${at}`);
        await plane.store.close();
      }
    }
    assert.ok(refusals >= reads.length);
  });
});

test('events, traces and feeds of before the start are not answered', async () => {
  await withFolder(async (dir) => {
    const log = new MemoryLog(1);
    const at = (ms: number) => firstHlcOf(START_MS + ms);
    log.append(0, { id: 'old', entity: 'user/1', hlc: at(0), data: { data: 1 } });
    log.append(0, { id: 'kept', entity: 'user/2', hlc: at(5), data: { memory: { id: 'm' } } });
    log.append(0, {
      id: 'new',
      entity: 'user/1',
      hlc: at(500),
      data: { data: 2 },
      causationId: 'old',
    });
    const plane = await openPlane(join(dir, 'views'), log, Date.now);
    const shard = plane.shards.at(0);
    while (await applyNext(plane, shard, 10));
    const eventOf = (id: string) =>
      outcome(() => readEvent(plane, { tenant, id, entity: undefined }, waiting(0, signal)));
    const trace = async () =>
      await readTrace(plane, { tenant, id: 'new', entity: undefined }, waiting(0, signal));
    assert.equal((await trace()).nodes.length, 2);
    // The start moves with the first write: from then on it is as if all were gone.
    for (const writes of [0, 100]) {
      await prune(plane, shard, 4, writes);
      assert.equal(shard.record.historyStart, 2);
      const unknown = { code: 'not_found', field: 'query.id' };
      assert.deepEqual(await eventOf('old'), unknown);
      assert.deepEqual(await eventOf('kept'), unknown);
      const { nodes, unresolved } = await trace();
      assert.deepEqual(
        nodes.map(({ id }) => id),
        ['new'],
      );
      assert.equal(unresolved[0]?.reason, 'not_found');
      const feed = (retained: boolean) =>
        outcome(async () => {
          const source = feedSource(TOPICS.events, plane, { retained });
          const { lines } = await source(0, 0, 1);
          return lines.map(({ offset }) => offset);
        });
      assert.deepEqual(await feed(false), EXPIRED('query.from'));
      assert.deepEqual(await feed(true), [1]);
      const views = await feedSource(TOPICS.views, plane)(0, 0, 1_000);
      assert.deepEqual(views, { lines: views.lines, next: 2 });
      assert.deepEqual(
        views.lines.map(({ offset }) => offset),
        [1],
      );
    }
    await plane.store.close();
  });
});
