import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Json } from '@memplane/contracts';
import { parseFilter } from '@memplane/filter';
import { testSeed } from '@memplane/testkit';
import type { NearestAhead, RankRequest } from '../domain/ports.ts';
import { Generation, type GenerationOptions } from '../drivers/generation.ts';
import { type LinesOptions, MODEL, RecallModel, START_MS } from './recall-model.ts';

export const LOG_ID = '0c7a4d0e-6f2b-4c59-9d3e-5a1b2c3d4e5f';
const LOG = { logId: LOG_ID, epoch: 0, partitions: 3 };
export const LATER_MS = START_MS + 10_000_000;
const LINES: LinesOptions = {
  partitions: 3,
  dimensions: 64,
  entities: 12,
  memories: 40,
  forgotten: 0.1,
  turns: 0.1,
  ttl: 0.1,
  tenants: ['default'],
};

export interface StoreDriver {
  readonly name: string;
  /**
   * Another one each time it is asked for: no test meets what another left.
   * @param indexOnly answers come from its index of vectors alone, where it has a choice
   */
  options(indexOnly: boolean): GenerationOptions['vectors'];
  /** Waits until an index over all of the vectors is built. */
  built?(store: OpenStore): Promise<void>;
  /** Events of the test of recall. */
  readonly recall_events: number;
  readonly recall_dimensions: number;
}

/** Small bounds, so that little data meets them. */
export function storeOptions(
  dimensions: number,
  vectors: GenerationOptions['vectors'],
  model = MODEL,
): GenerationOptions {
  return {
    dimensions,
    model,
    computes: false,
    stage1_rows_min: 256,
    direct_rows_max: 512,
    fields_per_row_max: 16,
    filter_cache_bytes_max: 1 << 20,
    cut_cache_entries_max: 4,
    entity_cache_entries_max: 64,
    text: { memtable_rows_max: 256, segments_per_level_max: 4, merge_terms_max: 256 },
    database_cache_bytes_max: 1 << 22,
    vectors,
  };
}

/** A store with its folder; `vectors` stay the same through every restart. */
export class OpenStore {
  readonly folder: string;
  readonly model: RecallModel;
  readonly #options: GenerationOptions;
  generation: Generation;

  constructor(
    t: TestContext,
    model: RecallModel,
    dimensions: number,
    vectors: GenerationOptions['vectors'],
  ) {
    this.folder = mkdtempSync(join(tmpdir(), 'store-'));
    this.model = model;
    this.#options = storeOptions(dimensions, vectors);
    this.generation = this.#open();
    t.after(async () => {
      await this.generation.close(true).catch(() => {});
      rmSync(this.folder, { recursive: true, force: true });
    });
  }

  async reopen(): Promise<void> {
    await this.generation.close();
    this.generation = this.#open();
  }

  /** Applies all of the log that is not applied yet, a batch at a time. */
  async catchUp(batch_lines = 64): Promise<void> {
    for (const [partition, lines] of this.model.log.entries()) {
      const from = () => (this.generation.applied.get(partition) ?? -1) + 1;
      while (from() < lines.length) {
        await this.generation.room(AbortSignal.timeout(60_000));
        this.generation.apply(partition, lines.slice(from(), from() + batch_lines));
      }
    }
  }

  /** Waits until a vector database has all of it for certain. */
  async settled(timeoutMs = 90_000): Promise<void> {
    const { elsewhere } = this.generation;
    const deadline = Date.now() + timeoutMs;
    while (elsewhere && elsewhere.unsettled > 0) {
      const why = elsewhere.problem?.message ?? 'no problem';
      assert.ok(Date.now() < deadline, `${elsewhere.unsettled} rows wait: ${why}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async search(
    query: Float32Array,
    options: {
      count?: number;
      filter?: { readonly [key: string]: Json };
      entity?: string;
      ends?: ReadonlyMap<number, number>;
      timeMs?: number;
      tenant?: string;
      ahead?: NearestAhead | undefined;
    } = {},
  ): Promise<{ eventId: string; score: number }[]> {
    const { count = 10, filter, entity, ends, timeMs = LATER_MS, tenant = 'default' } = options;
    const { ahead } = options;
    const request: RankRequest = {
      vector: query,
      terms: undefined,
      filter: filter && parseFilter(filter, { field: 'filter' }),
      entity,
      ahead,
    };
    const cut = { logId: LOG_ID, epoch: 0, offsets: ends ?? this.model.ends };
    const snapshot =
      ends === undefined
        ? this.generation.latest(tenant, cut, timeMs, request)
        : this.generation.snapshot(tenant, cut, timeMs, request);
    const found = await snapshot.rank(count);
    return found.map(({ row, score }) => ({ eventId: snapshot.details(row).eventId, score }));
  }

  /** Begins a search of all that is applied, for a later one of the same vector to take up. */
  ahead(query: Float32Array, count = 10): NearestAhead | undefined {
    const request = { vector: query, terms: undefined, filter: undefined, entity: undefined };
    const cut = { logId: LOG_ID, epoch: 0, offsets: this.generation.applied };
    return this.generation.latest('default', cut, LATER_MS, request).ahead(count);
  }

  #open(): Generation {
    const generation = new Generation(this.folder, this.#options);
    generation.follow(LOG);
    return generation;
  }
}

type Found = readonly { eventId: string; score: number }[];

function assertSame(found: Found, expected: Found, what: string): void {
  assert.deepEqual(
    found.map(({ eventId }) => eventId),
    expected.map(({ eventId }) => eventId),
    what,
  );
  for (const [i, { score }] of found.entries()) {
    assert.ok(Math.abs(score - (expected[i]?.score ?? NaN)) < 1e-5, `${what}: score ${i}`);
  }
}

/** What every {@link RecallStore} does, whatever keeps its vectors. */
export function storeContract(driver: StoreDriver): void {
  const opened = (t: TestContext, name: string, lines: LinesOptions = LINES, indexOnly = false) =>
    new OpenStore(
      t,
      new RecallModel(testSeed(`${driver.name}: ${name}`), lines),
      lines.dimensions,
      driver.options(indexOnly),
    );

  test(`${driver.name}: a line without an event says how far the log goes`, async (t) => {
    const store = opened(t, 'positions');
    const { model, generation } = store;
    model.append(20);
    await store.catchUp();
    const { rows, digest, applied } = generation.partition(0);
    generation.apply(0, [{ partition: 0, offset: applied + 5, epoch: 0 }]);
    const after = { epoch: 0, rows, digest, applied: applied + 5 };
    assert.deepEqual(generation.partition(0), after);
    await store.settled();
    await store.reopen();
    assert.deepEqual(store.generation.partition(0), after);
  });

  test(`${driver.name}: each version is a row; cuts show what was live at them`, async (t) => {
    const store = opened(t, 'versions');
    const { model } = store;
    const cuts: Map<number, number>[] = [];
    for (let round = 0; round < 5; round++) {
      model.append(150);
      await store.catchUp();
      cuts.push(model.ends);
      if (round === 2) await store.settled();
      const query = model.vector();
      // At once: nothing has to be stored elsewhere before it is found.
      const expected = model.nearest(model.live('default', model.ends, LATER_MS), query, 10);
      assertSame(await store.search(query), expected, `latest ${round}`);
    }
    for (const where of ['unsettled', 'settled', 'restarted']) {
      if (where === 'settled') await store.settled();
      if (where === 'restarted') await store.reopen();
      for (const [i, ends] of cuts.entries()) {
        for (const timeMs of [START_MS + i * 150, LATER_MS]) {
          const query = model.vector();
          const live = model.live('default', ends, timeMs);
          const found = await store.search(query, { ends, timeMs });
          assertSame(found, model.nearest(live, query, 10), `${where}, cut ${i} at ${timeMs}`);
          const entity = `user/${i}`;
          assertSame(
            await store.search(query, { ends, timeMs, entity }),
            model.nearest(live, query, 10, undefined, entity),
            `${where}, cut ${i} of ${entity}`,
          );
        }
      }
    }
  });

  test(`${driver.name}: filters at every selectivity, recall at least 0.95`, async (t) => {
    const lines = {
      ...LINES,
      dimensions: driver.recall_dimensions,
      entities: 400,
      memories: 1_000_000,
      forgotten: 0.02,
      turns: 0,
    };
    const store = opened(t, 'filters', lines, true);
    const { model } = store;
    model.append(driver.recall_events);
    await store.catchUp(256);
    await store.settled();
    await driver.built?.(store);
    const live = model.live('default', model.ends, LATER_MS);
    const filters: { readonly [share: string]: { readonly [key: string]: Json } } = {
      '0.1 %': { g1000: { $lt: 1 } },
      '1 %': { g100: 7 },
      '10 %': { g10: 'ten 3' },
      '10 % by a range': { g100: { $gte: 20, $lt: 30 } },
      '20 %': { $or: [{ g10: 'ten 3' }, { g10: { $in: ['ten 4'] } }] },
      '50 %': { odd: { $ne: true } },
      '100 %': {},
    };
    for (const [share, filter] of Object.entries(filters)) {
      let hits = 0;
      let wanted = 0;
      for (let q = 0; q < 20; q++) {
        const query = model.vector();
        const expected = model.nearest(live, query, 10, filter);
        const known = new Map(
          model.nearest(live, query, live.length, filter).map((row) => [row.eventId, row.score]),
        );
        const found = await store.search(query, { filter });
        // The index alone is asked, and trained on what came at random: what it misses counts below.
        assert.ok(found.length <= expected.length, share);
        for (const { eventId, score } of found) {
          // Every row matches, and its score is exact.
          assert.ok(Math.abs(score - (known.get(eventId) ?? NaN)) < 1e-5, `${share}: ${eventId}`);
          if (expected.some((row) => row.eventId === eventId)) hits++;
        }
        wanted += expected.length;
      }
      t.diagnostic(`${share}: recall ${(hits / wanted).toFixed(3)}`);
      assert.ok(hits / wanted >= 0.95, `${share}: recall ${hits / wanted}`);
    }
  });

  test(`${driver.name}: records that come again change nothing`, async (t) => {
    const store = opened(t, 'again');
    const { model } = store;
    model.append(300);
    await store.catchUp(32);
    const { generation } = store;
    const before = [...model.log.keys()].map((partition) => generation.partition(partition));
    const counts = generation.status('default');
    for (const [partition, lines] of model.log.entries()) {
      generation.apply(partition, lines.slice(10, 40));
      generation.apply(partition, lines);
      // The second copy of an event, at a place of its own.
      const copy = lines[5];
      if (copy) lines.push({ ...copy, offset: lines.length, applied: false });
    }
    await store.catchUp();
    await store.settled();
    for (const [partition, { rows, digest }] of before.entries()) {
      const now = generation.partition(partition);
      assert.deepEqual([now.rows, now.digest], [rows, digest]);
      assert.equal(now.applied, (model.log[partition]?.length ?? 0) - 1);
    }
    assert.deepEqual(generation.status('default'), counts);
  });

  test(`${driver.name}: tenants do not see each other`, async (t) => {
    const tenants = ['default', 'acme'];
    const store = opened(t, 'tenants', { ...LINES, tenants });
    const { model } = store;
    model.append(400);
    await store.catchUp();
    for (const settled of [false, true]) {
      if (settled) await store.settled();
      for (const tenant of tenants) {
        const live = model.live(tenant, model.ends, LATER_MS);
        const query = model.vector();
        assertSame(await store.search(query, { tenant }), model.nearest(live, query, 10), tenant);
      }
      assert.deepEqual(await store.search(model.vector(), { tenant: 'nobody' }), []);
    }
  });

  test(`${driver.name}: begun anew it has the same rows`, async (t) => {
    const store = opened(t, 'anew');
    const { model, generation } = store;
    model.append(300);
    await store.catchUp();
    await store.settled();
    const state = () => [...model.log.keys()].map((partition) => generation.partition(partition));
    const before = state();
    generation.startOver(LOG);
    assert.equal(generation.status('default').rows, 0);
    await store.catchUp(50);
    assert.deepEqual(state(), before);
    const query = model.vector();
    const live = model.live('default', model.ends, LATER_MS);
    assertSame(await store.search(query), model.nearest(live, query, 10), 'anew');
    await store.settled();
    assertSame(await store.search(query), model.nearest(live, query, 10), 'settled');
  });
}
