import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventPayload } from '@memplane/contracts';
import type { LogRecord } from '@memplane/event-log';
import { RocksStore } from '@memplane/rocks';
import { emptied } from '@memplane/runtime/sealing';
import fc from 'fast-check';
import { PLANE, ShardKeys, shardRange, toKey } from './domain/keys.ts';
import { emptyShard } from './domain/shard-record.ts';
import { foldRecords } from './drivers/applier.ts';
import { erasedRows } from './drivers/erased-rows.ts';
import { WorkingSet } from './drivers/working-set.ts';
import { cloudEvent, TEST_LOG_ID, TEST_SETTINGS, withFolder } from './testing.ts';

/** States are stored by erasures alone: when others are depends on the batches. */
const SETTINGS = { ...TEST_SETTINGS, snapshot_bytes_min: 1e9 };

interface Step {
  readonly entity: string;
  readonly id: string;
  readonly data: EventPayload;
  /** A batch ends with it. */
  readonly ends: boolean;
}

const text = fc.constantFrom('a', 'b', 'long '.repeat(300));
const data: fc.Arbitrary<EventPayload> = fc.oneof(
  { weight: 3, arbitrary: text.map((value) => ({ attributes: { value, n: value.length } })) },
  { weight: 2, arbitrary: text.map((value) => ({ memory: { id: value[0] ?? 'a', text: value } })) },
  { weight: 1, arbitrary: fc.constant({ memory: { id: 'a', forgotten: true as const } }) },
  { weight: 1, arbitrary: fc.constant({ erased: { erasure: 'e' } }) },
);
const step: fc.Arbitrary<Step> = fc.record({
  entity: fc.constantFrom('user/1', 'user/2'),
  // Some come again, equal or with other content.
  id: fc.integer({ min: 0, max: 4 }).map((n) => `id-${n}`),
  data,
  ends: fc.boolean(),
});

function recordsOf(steps: readonly Step[]): LogRecord[] {
  return steps.map(({ entity, id, data }, offset) => {
    const hlc = BigInt(offset + 1) << 16n;
    const causationId = offset % 3 === 0 ? { causationId: 'id-1' } : {};
    const own = data.erased === undefined ? id : `erasure-${offset}`;
    const event = cloudEvent({ id: own, entity, hlc, data, ...causationId });
    const value = Buffer.from(JSON.stringify(event));
    return { partition: 0, offset, key: entity, value, hlc };
  });
}

/** Applies the records in batches that end where told. @returns the rows that tell of entities */
async function applied(
  dir: string,
  records: readonly LogRecord[],
  endsAfter: (offset: number) => boolean,
): Promise<string[]> {
  const rocks = await RocksStore.open(dir);
  try {
    let shard = emptyShard(TEST_LOG_ID, 0);
    const known = new WorkingSet(-1, { entity_cache_bytes_max: 1e6, key_filter_bytes: 4096 });
    let batch: LogRecord[] = [];
    for (const record of records) {
      batch.push(record);
      if (!endsAfter(record.offset) && record !== records.at(-1)) continue;
      const folded = await foldRecords(rocks, shard, 0, batch, SETTINGS, known);
      await rocks.write(folded.writes);
      folded.written();
      shard = folded.shard;
      batch = [];
    }
    const erasures = new Map<string, number>();
    for (const { key, offset, value } of records) {
      if (value.includes('"erased":{')) erasures.set(key, offset);
    }
    const keys = new ShardKeys('default', 0);
    for await (const rows of erasedRows(rocks, keys, erasures)) {
      const gone = rocks.batch();
      for (const { key } of rows) gone.delete(key);
      await rocks.write(gone);
    }
    const rows: string[] = [];
    for await (const some of rocks.scan(shardRange('default', 0))) {
      for (const { key, value } of some) rows.push(`${key.toString('hex')} ${value.toString()}`);
    }
    const plane = new ShardKeys(PLANE, 0);
    for (const entity of erasures.keys()) {
      const row = await rocks.get(toKey(plane.clearing('default', entity)));
      assert.notEqual(row, null, 'an erasure leaves what is to be cleared');
    }
    return rows;
  } finally {
    await rocks.close();
  }
}

test('whatever the batches, and whether what is erased can be read or not, the views are the same', async () => {
  await withFolder(async (dir) => {
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 12, maxLength: 40 }), async (steps) => {
        const records = recordsOf(steps);
        const erasedAt = new Map<string, number>();
        for (const [offset, { entity, data }] of steps.entries()) {
          if (data.erased !== undefined) erasedAt.set(entity, offset);
        }
        const shredded = records.map((record) =>
          record.offset < (erasedAt.get(record.key) ?? -1)
            ? { ...record, value: marked(record) ? record.value : emptied(record.value) }
            : record,
        );
        const run = (name: string) => `${dir}/${runs}-${name}`;
        runs++;
        const live = await applied(run('live'), records, (n) => steps[n]?.ends ?? true);
        const whole = await applied(run('whole'), records, () => false);
        const rebuilt = await applied(run('rebuilt'), shredded, (n) => n % 5 === 0);
        assert.deepEqual(whole, live);
        assert.deepEqual(rebuilt, live);
      }),
      { numRuns: 12, endOnFailure: true },
    );
  });
});

/** An erasure itself stays as it is. */
function marked({ value }: LogRecord): boolean {
  return value.includes('"erased":{');
}
