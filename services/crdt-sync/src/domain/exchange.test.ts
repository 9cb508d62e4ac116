import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { figure, type Seeded, scaled, testSeed } from '@memplane/testkit';
import { EmbeddedStore } from '../drivers/embedded-store.ts';
import { CheckedStore } from '../drivers/test-checked-store.ts';
import { joinNamed } from './join-all.ts';
import type { CrdtStore } from './port.ts';
import { EXCHANGE_NAMES, ExchangeWorld } from './test-exchange-world.ts';
import { TestReplica } from './test-replica.ts';

const seed = testSeed('exchange');

type OpenStore = (index: number) => Promise<CrdtStore>;

/** Each replica begins again on its own store. */
function localWorld(random: Seeded, open: OpenStore): ExchangeWorld {
  const stores = new Map<number, CrdtStore>();
  return new ExchangeWorld(random, async (index, options) => {
    const store = stores.get(index) ?? (await open(index));
    stores.set(index, store);
    return TestReplica.start({ ...options, store });
  });
}

async function runWorlds(name: string, runs: number, open: (run: number) => OpenStore) {
  const sums = { commits: 0, joins: 0, restarts: 0 };
  for (let run = 0; run < runs; run++) {
    const world = localWorld(seed.fork(run), open(run));
    await world.start(world.random.int(2, 4));
    for (let steps = world.random.int(5, 60); steps > 0; steps--) await world.step();
    await world.heal();
    await world.expectEqual();
    for (const commits of world.told.values()) sums.commits += commits.length;
    sums.joins += world.joins;
    sums.restarts += world.restarts;
    for (const { options } of world.replicas) await options.store.close();
  }
  for (const [what, sum] of Object.entries(sums)) figure(`exchange on ${name}: ${what}`, sum);
}

describe('replicas that exchange deltas in any order, some twice, and restart', () => {
  it('are equal in the end, in memory', async () => {
    const runs = scaled('exchange_runs', { ci: 150, soak: 10_000 });
    await runWorlds('memory', runs, () => async () => new CheckedStore());
  });

  it('are equal in the end, on disk', async () => {
    const dir = await mkdtemp(path.join(tmpdir(), 'memplane-exchange-'));
    const runs = scaled('exchange_disk_runs', { ci: 8, soak: 300 });
    await runWorlds('disk', runs, (run) => (index) => {
      const folder = path.join(dir, `${run}-${index}`);
      return EmbeddedStore.open({ dir: folder });
    });
    await rm(dir, { recursive: true });
  });

  it('find by digests what was never told, and join it whole', async () => {
    const runs = scaled('exchange_whole_runs', { ci: 60, soak: 3_000 });
    for (let run = 0; run < runs; run++) {
      const random = seed.fork(1_000_000 + run);
      const world = localWorld(random, async () => new CheckedStore());
      await world.start(2);
      for (let steps = 25; steps > 0; steps--) await world.step();
      const [a, b] = world.replicas;
      assert.ok(a && b);
      const states = await Promise.all([a, b].map((it) => it.options.store.digests(ALL)));
      const refs = new Set(states.flat().map(({ name }) => name));
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        for (const name of refs) {
          const ref = { tenant: 'default', name };
          const { set, ...rest } = await from.options.store.state(ref);
          await joinNamed(to.engine, ref, { ...rest, set: set && { whole: set } });
        }
      }
      assert.deepEqual(await a.digests(), await b.digests());
      for (const name of EXCHANGE_NAMES) assert.deepEqual(await a.read(name), await b.read(name));
    }
  });
});

const ALL = { after: undefined, limit: 10_000 };
