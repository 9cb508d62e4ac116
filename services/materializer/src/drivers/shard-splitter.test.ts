import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firstHlcOf } from '@memplane/clock';
import { partitionKey } from '@memplane/contracts';
import {
  grownLineage,
  type LogInfo,
  type LogRecord,
  partitionOf,
  stretchAt,
} from '@memplane/event-log';
import fc from 'fast-check';
import { PLANE, shardRange } from '../domain/keys.ts';
import { decodeHead, decodeMemory } from '../domain/rows.ts';
import { epochOf } from '../domain/shard-epoch.ts';
import { readTimeline } from '../domain/timeline.ts';
import { cloudEvent, TEST_LOG_ID, TEST_SETTINGS, type TestEvent, withFolder } from '../testing.ts';
import { foldRecords } from './applier.ts';
import { withStored } from './count-stored.ts';
import { type SplitStore, splitShard } from './shard-splitter.ts';
import { ViewStore } from './view-store.ts';

const seed = Number(process.env['MEMPLANE_TEST_SEED'] ?? Date.now() & 0x7fffffff);
console.log(`shard split seed ${seed}`);

const attributes = fc.dictionary(
  fc.constantFrom('p', 'q.r', 'é'),
  fc.oneof(fc.integer(), fc.boolean(), fc.string({ maxLength: 5 }), fc.constant(null)),
  { maxKeys: 2 },
);
const memory = fc.oneof(
  fc.record({ id: fc.constantFrom('m', 'é'), forgotten: fc.constant(true as const) }),
  fc.record({ id: fc.constantFrom('m', 'é'), text: fc.string({ maxLength: 8 }) }),
);
const event = fc.record({
  id: fc.nat(9).map(String),
  entity: fc.oneof(
    fc.nat(12).map((n) => `user/${n}`),
    fc.nat(6).map((n) => `session/${n}`),
  ),
  tenant: fc.constantFrom('default', 'acme'),
  type: fc.constantFrom('SessionStarted', 'SessionEnded', 'Said'),
  causationId: fc.constantFrom('1', 'user/3#2', 'session/1#4'),
  data: fc.record({ attributes, memory }, { requiredKeys: [] }),
});

/** One step of a writer, of who applies, of an operator, or of fate. */
type Step =
  | { readonly kind: 'append'; readonly events: readonly Omit<TestEvent, 'hlc'>[] }
  | { readonly kind: 'apply'; readonly partition: number; readonly records: number }
  | { readonly kind: 'grow' }
  | { readonly kind: 'split'; readonly partition: number; readonly writes: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      events: fc.array(event, { minLength: 1, maxLength: 8 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('apply' as const),
      partition: fc.nat(7),
      records: fc.integer({ min: 1, max: 9 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'grow' as const }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('split' as const),
      partition: fc.nat(7),
      writes: fc.nat(12),
    }),
  },
);

const PARTITIONS = 2;
const PARTITIONS_MAX = 8;

/** A log that grows, in memory. */
class GrowingLog {
  info: LogInfo = { logId: TEST_LOG_ID, epoch: 0, partitions: PARTITIONS };
  readonly #stored: LogRecord[][] = Array.from({ length: PARTITIONS }, () => []);
  readonly #bases: number[] = Array.from({ length: PARTITIONS }, () => 0);
  #ms = 1_700_000_000_000;

  append(made: Omit<TestEvent, 'hlc'>): void {
    const hlc = firstHlcOf(++this.#ms);
    const key = partitionKey(made.tenant ?? 'default', made.entity);
    const partition = partitionOf(key, this.info.partitions);
    const value = Buffer.from(JSON.stringify(cloudEvent({ ...made, hlc })));
    this.#stored[partition]?.push({ partition, offset: this.end(partition), key, value, hlc });
  }

  grow(): void {
    const { epoch, partitions, lineage } = this.info;
    const ends = Array.from({ length: partitions }, (_, p) => this.end(p));
    for (const end of ends) {
      this.#stored.push([]);
      this.#bases.push(end);
    }
    this.info = {
      ...this.info,
      epoch: epoch + 1,
      partitions: 2 * partitions,
      lineage: grownLineage(lineage, ends),
    };
  }

  end(partition: number): number {
    return (this.#bases[partition] ?? 0) + (this.#stored[partition]?.length ?? 0);
  }

  read(partition: number, from: number, max: number): LogRecord[] {
    const { lineage } = this.info;
    const { home, to } = stretchAt(lineage, partition, from, this.end(partition));
    const base = this.#bases[home] ?? 0;
    const records = this.#stored[home]?.slice(from - base, Math.min(to, from + max) - base) ?? [];
    return records.map((record) => ({ ...record, partition }));
  }
}

/** @returns whether anything was applied */
async function apply(
  log: GrowingLog,
  store: ViewStore,
  partition: number,
  max: number,
): Promise<boolean> {
  const loaded = await store.loadShard(log.info, partition);
  const record = await withStored(store.rocks, partition, loaded);
  const { barrier, isForeign } = epochOf(log.info, partition, record);
  const read = log.read(partition, record.applied + 1, max);
  const records = read.filter(({ offset }) => offset < barrier);
  if (records.length === 0) return false;
  const settings = isForeign === undefined ? TEST_SETTINGS : { ...TEST_SETTINGS, isForeign };
  const { writes } = await foldRecords(store.rocks, record, partition, records, settings);
  await store.rocks.write(writes);
  return true;
}

class Crash extends Error {}

/** A store that is gone after some writes. */
function crashing({ rocks }: ViewStore, writes: number): SplitStore {
  let left = writes;
  return {
    get: (key, snapshot) => rocks.get(key, snapshot),
    scan: (options) => rocks.scan(options),
    scanAll: (options) => rocks.scanAll(options),
    snapshot: () => rocks.snapshot(),
    batch: () => rocks.batch(),
    write: async (batch) => {
      if (left-- <= 0) throw new Crash();
      await rocks.write(batch);
    },
  };
}

const STEPS = { rows_max: 4, changes_max: 3, bytes_max: 4_096 };

async function catchUp(log: GrowingLog, store: ViewStore): Promise<void> {
  for (let p = 0; p < log.info.partitions; p++) {
    await splitShard(store.rocks, log.info, p, STEPS);
    while (await apply(log, store, p, 50));
  }
}

/** All that views are, however their batches were cut. */
async function describe(log: GrowingLog, store: ViewStore): Promise<unknown> {
  const shards: unknown[] = [];
  for (let partition = 0; partition < log.info.partitions; partition++) {
    const {
      duplicates: _,
      rejected: __,
      tenants,
      ...record
    } = await withStored(store.rocks, partition, await store.loadShard(log.info, partition));
    const { stored: ___, ...uncounted } = { ...record, duplicates: 0, rejected: 0, tenants };
    const { stored } = await withStored(store.rocks, partition, uncounted);
    if (record.applied >= 0) assert.deepEqual(record.stored, stored, 'counted along, and anew');
    const rows: string[] = [];
    const timeline: unknown[] = [];
    for (const tenant of [PLANE, ...tenants].sort()) {
      for await (const found of store.rocks.scan(shardRange(tenant, partition))) {
        for (const { key, value } of found) {
          const table = String.fromCharCode(key[tenant.length + 3] ?? 0);
          if (tenant === PLANE && table === 'b') timeline.push(...readTimeline(value));
          else if (tenant !== PLANE) rows.push(rowText(table, key, value));
        }
      }
    }
    shards.push({ partition, record, rows, timeline });
  }
  return shards;
}

function rowText(table: string, key: Buffer, value: Buffer): string {
  const name = key.toString('latin1');
  if (table === 'm') return `${name} ${decodeMemory(value).json}`;
  if (table !== 'h') return `${name} ${value.toString('hex')}`;
  const { bytesSinceSnapshot: _, attributes: json, ...head } = decodeHead(value);
  const stamp = (_key: string, field: unknown) => (typeof field === 'bigint' ? `${field}` : field);
  return `${name} ${JSON.stringify(head, stamp)} ${json}`;
}

async function run(steps: readonly Step[]): Promise<void> {
  await withFolder(async (dir) => {
    const log = new GrowingLog();
    const store = await ViewStore.open(`${dir}/split`, 1 << 20);
    const anew = await ViewStore.open(`${dir}/anew`, 1 << 20);
    try {
      for (const one of steps) await take(one, log, store);
      await catchUp(log, store);
      await catchUp(log, anew);
      assert.deepEqual(await describe(log, store), await describe(log, anew));
    } finally {
      await store.close();
      await anew.close();
    }
  });
}

async function take(one: Step, log: GrowingLog, store: ViewStore): Promise<void> {
  const { partitions } = log.info;
  switch (one.kind) {
    case 'append':
      for (const made of one.events) log.append(made);
      return;
    case 'grow':
      if (partitions < PARTITIONS_MAX) log.grow();
      return;
    case 'apply': {
      const partition = one.partition % partitions;
      const record = await store.loadShard(log.info, partition);
      // A shard is applied to only once it is open, and opened only once its parents are split.
      const isOpen = record.applied >= 0 || partition < PARTITIONS;
      if (isOpen && record.splitting === undefined) await apply(log, store, partition, one.records);
      return;
    }
    case 'split':
      await splitShard(
        crashing(store, one.writes),
        log.info,
        one.partition % partitions,
        STEPS,
      ).catch((error: unknown) => {
        if (!(error instanceof Crash)) throw error;
      });
  }
}

test('whenever a log grows, its shards apply, and a split ends: views equal those made anew', async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), run), {
    seed,
    endOnFailure: true,
    numRuns: Number(process.env['MEMPLANE_SPLIT_RUNS'] ?? 25),
  });
});
