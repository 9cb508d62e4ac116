import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { figure, type Seeded, scaled, testSeed } from '@memplane/testkit';
import type { CrdtStore } from '../../domain/port.ts';
import { ExchangeWorld } from '../../domain/test-exchange-world.ts';
import { TestReplica } from '../../domain/test-replica.ts';
import { EmbeddedStore } from '../embedded-store.ts';
import { TestRedis } from './test-redis.ts';
import { RedisWorld } from './test-redis-world.ts';

const REPLICAS = 3;
const seed = testSeed('redis exchange');

describe('replicas with a Redis each that exchange deltas in any order, and restart', () => {
  let servers: TestRedis[];
  let dir: string;
  before(async () => {
    const settings = { appendfsync: 'everysec' };
    servers = await Promise.all(Array.from({ length: REPLICAS }, () => TestRedis.start(settings)));
    dir = await mkdtemp(path.join(tmpdir(), 'memplane-redis-exchange-'));
  });
  after(async () => {
    for (const server of servers) await server[Symbol.asyncDispose]();
    await rm(dir, { recursive: true });
  });

  function embeddedWorld(random: Seeded, run: number) {
    const stores = new Map<number, CrdtStore>();
    const start = async (index: number) => {
      const folder = path.join(dir, `${run}-${index}`);
      return EmbeddedStore.open({ dir: folder });
    };
    const world = new ExchangeWorld(
      random,
      async (index, options) => {
        const store = stores.get(index) ?? (await start(index));
        stores.set(index, store);
        return TestReplica.start({ ...options, store });
      },
      1,
    );
    const close = () => Promise.all([...stores.values()].map((store) => store.close()));
    return { world, close };
  }

  it('do and tell at each step what those on disk do and tell', async () => {
    const runs = scaled('redis_exchange_twin_runs', { ci: 6, soak: 200 });
    let [steps, commits] = [0, 0];
    for (let run = 0; run < runs; run++) {
      const how = { cleanShare: 1, call_elements_max: 1_000 };
      await using redis = await RedisWorld.start(servers, seed.fork(run), how);
      const disk = embeddedWorld(seed.fork(run), run);
      await disk.world.start(REPLICAS);
      const worlds = [redis.exchange, disk.world] as const;
      for (let step = 0; step < 40; step++) {
        for (const world of worlds) await world.step();
        for (const [index, replica] of redis.exchange.replicas.entries()) {
          const twin = disk.world.replicas[index] ?? assert.fail();
          assert.deepEqual(await replica.digests(), await twin.digests());
          assert.deepEqual(replica.executor.known, twin.executor.known);
        }
        steps++;
      }
      assert.deepEqual(redis.exchange.told, disk.world.told);
      for (const world of worlds) {
        await world.heal();
        await world.expectEqual();
      }
      for (const told of redis.exchange.told.values()) commits += told.length;
      await disk.close();
    }
    figure('exchange on Redis beside disk: steps', steps);
    figure('exchange on Redis beside disk: commits', commits);
  });

  it('are equal in the end, whatever a call is cut into, and if they ended unclean', async () => {
    const runs = scaled('redis_exchange_runs', { ci: 12, soak: 500 });
    const sums = { commits: 0, joins: 0, restarts: 0 };
    for (let run = 0; run < runs; run++) {
      const random = seed.fork(1_000_000 + run);
      const how = { cleanShare: 0.5, call_elements_max: random.pick([1, 2, 1_000]) };
      await using redis = await RedisWorld.start(servers, random, how);
      const world = redis.exchange;
      for (let steps = 50; steps > 0; steps--) await world.step();
      await world.heal();
      await world.expectEqual();
      for (const told of world.told.values()) sums.commits += told.length;
      sums.joins += world.joins;
      sums.restarts += world.restarts;
    }
    for (const [what, sum] of Object.entries(sums)) figure(`exchange on Redis: ${what}`, sum);
  });
});
