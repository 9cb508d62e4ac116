import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { firstHlcOf } from '@memplane/clock';
import type { EventPayload } from '@memplane/contracts';
import type { LogRecord } from '@memplane/event-log';
import type { RocksStore } from '@memplane/rocks';
import fc from 'fast-check';
import { MemoryLog, TEST_LOG_ID, TEST_SETTINGS, type TestEvent, withFolder } from '../testing.ts';
import { foldRecords } from './applier.ts';
import { ViewStore } from './view-store.ts';
import { WorkingSet } from './working-set.ts';

const START_MS = 1_790_000_000_000;
const name = fc.constantFrom('a', 'b', 'a.b', 'ü', '\ud800', '__proto__', '');
const value = fc.oneof(
  fc.constantFrom<unknown>(null, 1, 2, 'x', 'y', true, [1, 2, 'x'], { b: 1 }, { b: { c: 'x' } }),
  fc.constant(Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`k${n}`, n]))),
);
const attributes = fc
  .array(fc.tuple(name, value), { maxLength: 3 })
  .map((members) => JSON.parse(`{${members.map(memberJson).join(',')}}`) as object);
const memory = fc.oneof(
  fc.record({ id: fc.constantFrom('m1', 'm2'), text: fc.constantFrom('one', 'two') }),
  fc.record({ id: fc.constantFrom('m1', 'm2'), forgotten: fc.constant(true) }),
);
const event = fc.record({
  id: fc.oneof(fc.constantFrom('e1', 'e2'), fc.uuid()),
  entity: fc.constantFrom('user/1', 'user/2', 'session/3'),
  type: fc.constantFrom('Said', 'SessionStarted', 'SessionEnded'),
  tenant: fc.constantFrom('default', 'other'),
  data: fc.record({ attributes, memory }, { requiredKeys: [] }),
});
const story = fc.record({
  events: fc.array(event, { minLength: 1, maxLength: 60, size: 'max' }),
  batches: fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }),
  /** Batches that are folded and then not written. */
  lost: fc.array(fc.boolean()),
  cacheBytes: fc.constantFrom(0, 2_000, 1 << 20),
  filterBytes: fc.constantFrom(0, 64, 1 << 16),
  restartAt: fc.nat(20),
});

function memberJson([key, member]: [string, unknown]): string {
  return `${JSON.stringify(key)}:${JSON.stringify(member)}`;
}

function recordsOf(events: readonly object[]): LogRecord[] {
  const log = new MemoryLog(1);
  return events.map((given, n) => {
    const { data, ...rest } = given as TestEvent & { data: EventPayload };
    return log.append(0, { ...rest, data, hlc: firstHlcOf(START_MS + n) });
  });
}

async function contents(rocks: RocksStore): Promise<string[]> {
  const rows = await rocks.scanAll({ limit: 100_000 });
  return rows.map(({ key, value: row }) => `${key.toString('latin1')} = ${row.toString('latin1')}`);
}

test('what is remembered between batches changes nothing of what is written', async () => {
  await fc.assert(
    fc.asyncProperty(story, (given) =>
      withFolder(async (dir) => {
        const records = recordsOf(given.events);
        const plain = await ViewStore.open(join(dir, 'plain'), 1 << 20);
        const known = await ViewStore.open(join(dir, 'known'), 1 << 20);
        try {
          const settings = {
            entity_cache_bytes_max: given.cacheBytes,
            key_filter_bytes: given.filterBytes,
          };
          let set = new WorkingSet(-1, settings);
          let [before] = await plain.loadShards({ logId: TEST_LOG_ID, epoch: 0, partitions: 1 });
          for (let at = 0, n = 0; at < records.length; n++) {
            const size = given.batches[n % given.batches.length] as number;
            const batch = records.slice(at, at + size);
            if (n === given.restartAt) set = new WorkingSet(before!.applied, settings);
            if (given.lost[n]) {
              await foldRecords(known.rocks, before!, 0, batch.slice(0, 3), TEST_SETTINGS, set);
            }
            const a = await foldRecords(plain.rocks, before!, 0, batch, TEST_SETTINGS);
            const b = await foldRecords(known.rocks, before!, 0, batch, TEST_SETTINGS, set);
            assert.deepEqual(b.counts, a.counts);
            await plain.rocks.write(a.writes);
            await known.rocks.write(b.writes);
            b.written();
            assert.ok(set.bytes <= given.cacheBytes, `${set.bytes} bytes are cached`);
            before = a.shard;
            at += size;
          }
          assert.deepEqual(await contents(known.rocks), await contents(plain.rocks));
        } finally {
          await plain.close();
          await known.close();
        }
      }),
    ),
    { numRuns: 30, interruptAfterTimeLimit: 20_000, markInterruptAsFailure: true },
  );
});
