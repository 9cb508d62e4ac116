/** What tenants have stored, as it is counted along, against a look at every row. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { firstHlcOf } from '@memplane/clock';
import type { EventPayload } from '@memplane/contracts';
import { createLogger } from '@memplane/runtime';
import fc from 'fast-check';
import { prefixRange, ShardKeys } from './domain/keys.ts';
import { decodeHead, decodeMemory } from './domain/rows.ts';
import type { ShardRecord } from './domain/shard-record.ts';
import { type StoredCounts, storedOf } from './domain/stored-counts.ts';
import { WorkingEntity } from './domain/working-entity.ts';
import { foldRecords } from './drivers/applier.ts';
import { withStored } from './drivers/count-stored.ts';
import { erasedRows } from './drivers/erased-rows.ts';
import { HistoryPruner } from './drivers/history-pruner.ts';
import { ViewStore } from './drivers/view-store.ts';
import { WorkingSet } from './drivers/working-set.ts';
import type { Shard } from './shard.ts';
import { MemoryLog, openShards, TEST_SETTINGS, withFolder } from './testing.ts';

const TENANTS = ['default', 'acme'];
const RETENTION_MS = 40;
const START_MS = 1_700_000_000_000;
const seed = Number(process.env['MEMPLANE_TEST_SEED'] ?? Date.now() & 0x7fffffff);
console.log(`# stored counts: seed ${seed}`);

const text = fc.constantFrom('', 'a', 'ü', '\u{1f600}', 'long '.repeat(60));
const id = fc.constantFrom('m1', 'm2', 'é');
const data: fc.Arbitrary<EventPayload> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .dictionary(fc.constantFrom('p', 'q'), fc.oneof(text, fc.constant(null)), { maxKeys: 2 })
      .map((attributes) => ({ attributes })),
  },
  { weight: 4, arbitrary: fc.record({ id, text }).map((memory) => ({ memory })) },
  { weight: 2, arbitrary: id.map((one) => ({ memory: { id: one, forgotten: true as const } })) },
  { weight: 1, arbitrary: fc.constant({ erased: { erasure: 'e' } }) },
);
const event = fc.record({
  // Some come again, equal or with other content.
  id: fc.nat(30).map(String),
  entity: fc.constantFrom('user/1', 'user/2', 'agent/x'),
  tenant: fc.constantFrom(...TENANTS),
  stepMs: fc.nat(4),
  data,
});
const batch = fc.record({
  events: fc.array(event, { minLength: 1, maxLength: 12 }),
  /** What happens after it. */
  next: fc.constantFrom(
    'nothing',
    'lost',
    'prune',
    'clear',
    'restart',
    'older version',
    'uncounted',
  ),
});

class World {
  readonly log = new MemoryLog(1);
  readonly store: ViewStore;
  shard: Shard;
  #known = workingSet(-1);
  #ms = START_MS;
  #erasures = 0;
  readonly #erasedAt = new Map<string, Map<string, number>>(TENANTS.map((t) => [t, new Map()]));

  constructor(store: ViewStore, shard: Shard) {
    this.store = store;
    this.shard = shard;
  }

  async apply(events: readonly (typeof event extends fc.Arbitrary<infer T> ? T : never)[]) {
    for (const { stepMs, ...made } of events) {
      this.#ms += stepMs;
      const isErasure = made.data.erased !== undefined;
      const own = isErasure ? { id: `erasure-${this.#erasures++}` } : {};
      const { offset } = this.log.append(0, { ...made, ...own, hlc: firstHlcOf(this.#ms) });
      if (isErasure) this.#erasedAt.get(made.tenant)?.set(made.entity, offset);
    }
    await this.#fold(true);
  }

  /** @param isWritten else it is as if the storage had failed */
  async #fold(isWritten: boolean): Promise<void> {
    const { shard, store } = this;
    const { applied, record } = shard;
    const next = await this.log.read(0, applied + 1, { maxBytes: 1 });
    const settings = { ...TEST_SETTINGS, historyRetentionMs: RETENTION_MS };
    const folded = await foldRecords(store.rocks, record, 0, next, settings, this.#known);
    if (!isWritten) return;
    await store.rocks.write(folded.writes);
    folded.written();
    shard.advance(folded.shard);
  }

  async goOn(what: string): Promise<void> {
    const { store, shard, log } = this;
    const { record } = shard;
    if (what === 'lost') {
      log.append(0, { id: 'x', entity: 'user/1', hlc: firstHlcOf(this.#ms), data: LOST });
      await this.#fold(false);
      await this.#fold(true);
    }
    if (what === 'prune') {
      const bounds = { history_prune_rows_max: 5, history_prune_bytes_max: 4096 };
      const settings = { historyRetentionMs: RETENTION_MS, historyPruneTickMs: 1, ...bounds };
      const ports = { store, shards: [shard], logger, onPruned: () => {} };
      for await (const _ of new HistoryPruner(ports, settings).prune(shard));
    }
    if (what === 'clear') await this.#clear();
    if (what === 'restart') await this.#reopen((await store.loadShard(log.info, 0)) ?? record);
    // It leaves alone what it does not know, and applies on.
    const stale = {
      applied: record.applied - 1,
      ofTenants: { acme: { memories: 9, stateBytes: 9 } },
    };
    if (what === 'older version') await this.#reopen({ ...record, stored: stale });
    const { stored: _, ...uncounted } = record;
    if (what === 'uncounted') await this.#reopen(uncounted);
  }

  async #reopen(record: ShardRecord): Promise<void> {
    const counted = await withStored(this.store.rocks, 0, record);
    const [shard] = await openShards(this.store, this.log.info);
    assert.ok(shard);
    shard.advance(counted);
    this.shard = shard;
    this.#known = workingSet(record.applied);
  }

  async #clear(): Promise<void> {
    const { rocks } = this.store;
    for (const [tenant, erasures] of this.#erasedAt) {
      for await (const rows of erasedRows(rocks, new ShardKeys(tenant, 0), erasures)) {
        const gone = rocks.batch();
        for (const { key } of rows) gone.delete(key);
        await rocks.write(gone);
      }
    }
  }

  /** By a look at every memory and the attributes of every entity. */
  async recount(): Promise<Record<string, StoredCounts>> {
    const { rocks } = this.store;
    const found: Record<string, StoredCounts> = {};
    for (const tenant of TENANTS) {
      const keys = new ShardKeys(tenant, 0);
      const rowsOf = async (table: 'h' | 'm') =>
        await rocks.scanAll({ ...prefixRange(keys.table(table)), limit: 1_000 });
      const heads = await rowsOf('h');
      const memories = (await rowsOf('m')).filter(({ key, value }) => {
        const [entity = ''] = key.toString('latin1', keys.table('m').length).split('\0');
        const erasedAt = this.#erasedAt.get(tenant)?.get(entity) ?? -1;
        return decodeMemory(value).offset > erasedAt;
      });
      let stateBytes = 0;
      for (const { value } of heads) stateBytes += decodeHead(value).attributes.length;
      for (const { value } of memories) stateBytes += decodeMemory(value).json.length;
      if (heads.length > 0) found[tenant] = { memories: memories.length, stateBytes };
    }
    return found;
  }
}

const LOST: EventPayload = { attributes: { p: 'was lost at first' } };
const logger = createLogger('test', 'silent');

function workingSet(applied: number): WorkingSet {
  return new WorkingSet(applied, { entity_cache_bytes_max: 20_000, key_filter_bytes: 1024 });
}

test('what is stored is counted right, whatever is erased, removed, lost, or was applied by others', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(batch, { minLength: 1, maxLength: 12 }), (batches) =>
      withFolder(async (dir) => {
        const store = await ViewStore.open(join(dir, 'views'), 1 << 20);
        try {
          const [shard] = await openShards(store, new MemoryLog(1).info);
          assert.ok(shard);
          const world = new World(store, shard);
          for (const { events, next } of batches) {
            await world.apply(events);
            assert.deepEqual(storedOf(world.shard.record), await world.recount());
            await world.goOn(next);
            assert.deepEqual(storedOf(world.shard.record), await world.recount(), next);
          }
        } finally {
          await store.close();
        }
      }),
    ),
    { seed, numRuns: Number(process.env['MEMPLANE_STORED_RUNS'] ?? 15), endOnFailure: true },
  );
});

test('heads of the version before, which counted characters, never lead below nothing', async () => {
  const entity = new WorkingEntity(new ShardKeys('acme', 0), 'user/1', null);
  entity.memoryCount = 2;
  entity.memoryBytes = 8;
  entity.removeMemory('{"text":"übergroß"}');
  assert.equal(entity.memoryBytes, 0);
  entity.addMemory('"ü"');
  assert.equal(entity.memoryBytes, 4);
  entity.removeMemory('""');
  entity.removeMemory('""');
  assert.equal(entity.memoryBytes, 0);
});
