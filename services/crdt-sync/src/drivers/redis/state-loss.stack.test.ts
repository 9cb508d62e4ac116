import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { figure, type Seeded, scaled, testSeed } from '@memplane/testkit';
import { joinAll, joinNamed } from '../../domain/join-all.ts';
import type { ExchangeWorld } from '../../domain/test-exchange-world.ts';
import { rangesOf, TestReplica } from '../../domain/test-replica.ts';
import { MemoryStore } from '../test-memory-store.ts';
import type { RedisExecutor } from './redis-executor.ts';
import { TestRedis } from './test-redis.ts';
import { newIncarnations } from './test-redis-replica.ts';
import { RedisWorld } from './test-redis-world.ts';

const REPLICAS = 3;
const ALL = { after: undefined, limit: 10_000 };
const seed = testSeed('redis state loss');

describe('a replica whose Redis loses what it had', () => {
  let servers: TestRedis[];
  before(async () => {
    const settings = { appendfsync: 'everysec' };
    servers = await Promise.all(Array.from({ length: REPLICAS }, () => TestRedis.start(settings)));
  });
  after(async () => {
    for (const server of servers) await server[Symbol.asyncDispose]();
  });

  const startWorld = (random: Seeded) =>
    RedisWorld.start(servers, random, { cleanShare: 0.5, call_elements_max: 1_000 });

  /** Has the state of a replica lost by `lose`. Resolves once that is noticed, to what was before. */
  async function losing(world: ExchangeWorld, lose: (executor: RedisExecutor) => Promise<unknown>) {
    const replica = world.replicas[0] ?? assert.fail();
    const executor = replica.executor as RedisExecutor;
    const before = { known: new Map(executor.known), incarnation: executor.incarnation };
    const noticed = Promise.withResolvers<void>();
    executor.onNewState = () => {
      // All of it is in place when it is told.
      assert.notEqual(executor.incarnation, before.incarnation);
      assert.equal(executor.known.get(executor.incarnation), 0);
      noticed.resolve();
    };
    await lose(executor);
    await noticed.promise;
    executor.onNewState = undefined;
    return { replica, executor, before };
  }

  it('with a tail of its AOF: knows no more than is there, and gets it back', async () => {
    const runs = scaled('redis_aof_cut_runs', { ci: 12, soak: 300 });
    const sums = { commits: 0, lost: 0, bytesCut: 0 };
    for (let run = 0; run < runs; run++) {
      const random = seed.fork(run);
      await using redis = await startWorld(random);
      const world = redis.exchange;
      const server = servers[0] ?? assert.fail();
      const begun = await server.aofSize();
      for (let steps = 30; steps > 0; steps--) await world.step();
      const { replica, executor, before } = await losing(world, async () => {
        await server.server.kill();
        const cut = random.int(0, (await server.aofSize()) - begun);
        await server.cutAof(cut);
        sums.bytesCut += cut;
        await server.server.start();
      });
      for (const [incarnation, commits] of executor.known) {
        assert.ok(commits <= (before.known.get(incarnation) ?? 0));
        sums.lost += (before.known.get(incarnation) ?? 0) - commits;
      }
      await expectClaimsAreThere(world, replica);
      for (let steps = 15; steps > 0; steps--) await world.step();
      await world.heal();
      await world.expectEqual();
      for (const told of world.told.values()) sums.commits += told.length;
    }
    for (const [what, sum] of Object.entries(sums))
      figure(`a Redis with its AOF cut: ${what}`, sum);
    assert.ok(sums.lost > 0);
  });

  const NOTICED: [string, (executor: RedisExecutor, world: ExchangeWorld) => Promise<unknown>][] = [
    ['a look at the vector', (executor) => assert.rejects(executor.refresh(), unavailable)],
    [
      'a look at digests',
      async (_, { replicas: [replica] }) => {
        await assert.rejects(replica?.options.store.digests(ALL) ?? assert.fail(), unavailable);
      },
    ],
    [
      'a look at a state',
      async (_, { replicas: [replica] }) => {
        const state = replica?.options.store.state({ tenant: 'default', name: 'a' });
        await assert.rejects(state ?? assert.fail(), unavailable);
      },
    ],
    ['a token', (executor) => assert.rejects(executor.commitVector(), unavailable)],
    [
      'a comparison that has read',
      async (_, { replicas: [replica] }) => {
        await assert.rejects(replica?.options.store.settle() ?? assert.fail(), unavailable);
      },
    ],
    [
      'a mutation',
      async (_, { replicas: [replica] }) => {
        const put = await replica?.ask({ type: 'increment', name: 'a', by: 1 });
        assert.equal(put?.error?.code, 'storage_unavailable');
      },
    ],
    [
      'a read',
      async (_, { replicas: [replica] }) => {
        const read = await replica?.ask({ type: 'counter-get', name: 'a' });
        assert.equal(read?.error?.code, 'storage_unavailable');
      },
    ],
    [
      'a join, whose vector was not written yet',
      async (executor, { replicas: [replica], told }) => {
        const commits = [...told.values()].flat();
        executor.advance(rangesOf(commits));
        const join = joinAll(replica?.engine ?? assert.fail(), commits[0]?.delta ?? assert.fail());
        await assert.rejects(join, unavailable);
      },
    ],
  ];
  for (const [how, notice] of NOTICED) {
    it(`by FLUSHALL: ${how} notices, and joins bring it back`, async () => {
      const random = seed.fork(1_000_000);
      await using redis = await startWorld(random);
      const world = redis.exchange;
      for (let steps = 30; steps > 0; steps--) await world.step();
      const hand = await (servers[0] ?? assert.fail()).connect();
      const { replica, executor } = await losing(world, async (executor) => {
        await hand.command(['FLUSHALL']);
        await notice(executor, world);
      });
      assert.deepEqual([...executor.known], [[executor.incarnation, 0]]);
      assert.deepEqual(await replica.options.store.digests(ALL), []);
      for (let steps = 15; steps > 0; steps--) await world.step();
      await world.heal();
      await world.expectEqual();
      await hand.close();
    });
  }
});

const unavailable = { code: 'storage_unavailable' };

/** Who has all that the vector claims, joined with what is there, has no more than what is there. */
async function expectClaimsAreThere(world: ExchangeWorld, replica: TestReplica): Promise<void> {
  const { next } = newIncarnations();
  const { now } = replica.options;
  const store = new MemoryStore();
  const model = await TestReplica.start({ id: 'm', store, now, newIncarnation: next, told() {} });
  for (const [incarnation, commits] of replica.executor.known) {
    const told = world.told.get(incarnation) ?? [];
    assert.ok(told.length >= commits);
    await model.receive(told.slice(0, commits));
  }
  const there = await replica.options.store.digests(ALL);
  for (const { tenant, name } of there) {
    const { set, ...rest } = await replica.options.store.state({ tenant, name });
    await joinNamed(model.engine, { tenant, name }, { ...rest, set: set && { whole: set } });
  }
  assert.deepEqual(await store.digests(ALL), there);
}
