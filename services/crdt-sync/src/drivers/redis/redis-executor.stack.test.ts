import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { hlcToMs } from '@memplane/clock';
import { type CommitRange, emptyRegister, writeRegister } from '@memplane/crdt';
import { figure, scaled } from '@memplane/testkit';
import { joinNamed } from '../../domain/join-all.ts';
import type { LocalCommit } from '../../domain/local-commit.ts';
import { sent, TestReplica } from '../../domain/test-replica.ts';
import { MemoryStore } from '../test-memory-store.ts';
import type { RedisConnection } from './connection.ts';
import { placeOf } from './place.ts';
import { TestRedis } from './test-redis.ts';
import { newIncarnations, redisReplica } from './test-redis-replica.ts';

const NOW = 1_790_000_000_000;
const ELEMENTS = scaled('redis_large_set_elements', { ci: 20_000, soak: 100_000 });
const ref = (name: string) => ({ tenant: 'default', name });

describe('an executor on Redis', () => {
  let redis: TestRedis;
  let strict: TestRedis;
  const { next: newIncarnation } = newIncarnations();
  const connections: RedisConnection[] = [];
  before(async () => {
    redis = await TestRedis.start({ appendfsync: 'everysec' });
    strict = await TestRedis.start({ appendfsync: 'always' });
  });
  afterEach(async () => {
    for (const connection of connections.splice(0)) {
      await connection.command(['FLUSHALL']).catch(() => {});
      await connection.close();
    }
  });
  after(async () => {
    await redis[Symbol.asyncDispose]();
    await strict[Symbol.asyncDispose]();
  });

  async function replicaOn(server: TestRedis, call_elements_max = 1_000) {
    const connection = await server.connect();
    connections.push(connection);
    const told: LocalCommit[] = [];
    const options = {
      id: 'r',
      now: () => NOW,
      newIncarnation,
      told: (commit: LocalCommit) => told.push({ ...commit, delta: sent([commit.delta]) }),
    };
    const replica = redisReplica(connection, options, call_elements_max);
    return { replica, told, connection, store: replica.options.store };
  }

  async function inMemory() {
    const store = new MemoryStore();
    const options = { id: 'm', store, now: () => NOW, newIncarnation, told: () => {} };
    return TestReplica.start(options);
  }

  it('tells one entry for a batch on one counter, and numbers mutations only', async () => {
    const { replica, told } = await replicaOn(redis);
    const incr = { type: 'increment', name: 'a', by: 2 } as const;
    await Promise.all(Array.from({ length: 100 }, () => replica.ask(incr)));
    await replica.ask({ type: 'counter-get', name: 'a' });
    await replica.ask({ type: 'set-add', name: 'a', elements: ['x'] });
    await replica.ask({ type: 'set-remove', name: 's', elements: ['x'] });
    assert.equal(await replica.executor.run([], true), true, 'a probe writes');
    const again = await replica.ask(incr);
    assert.equal(again.outcome.number, 202);
    assert.deepEqual(
      told.map(({ number }) => number),
      [1, 2],
    );
    const entries = [...(told[0]?.delta.counters.get('default/a')?.entries.values() ?? [])];
    assert.deepEqual(
      entries.map(({ net }) => net),
      [200n],
    );
    assert.equal(replica.executor.known.get(replica.executor.incarnation), 2);
  });

  it('learns what another instance commits and joins, and tells where it ends', async () => {
    const [a, b] = [await replicaOn(redis), await replicaOn(redis)];
    const found: CommitRange[] = [];
    b.replica.executor.onFound = (ranges) => found.push(...ranges);
    const other = 'd'.repeat(32);
    const grown: unknown[] = [];
    b.replica.executor.onAdvance((known) => grown.push(known.get(other)));
    await a.replica.ask({ type: 'increment', name: 'a', by: 1 });
    a.replica.executor.advance([{ incarnation: other, after: 0, upTo: 7 }]);
    await a.replica.executor.flush();
    await b.replica.executor.refresh();
    const { incarnation } = a.replica.executor;
    const byName = (x: CommitRange, y: CommitRange) => (x.incarnation < y.incarnation ? -1 : 1);
    const expected = [
      { incarnation, after: 0, upTo: 1 },
      { incarnation: other, after: 0, upTo: 7 },
    ];
    assert.deepEqual(found.sort(byName), expected.sort(byName));
    assert.deepEqual(grown, [7]);
    await b.replica.executor.refresh();
    assert.equal(found.length, 2, 'each once');
    // What is lower there than here is left.
    b.replica.executor.advance([{ incarnation: other, after: 7, upTo: 9 }]);
    await b.replica.executor.refresh();
    assert.equal(b.replica.executor.known.get(other), 9);
    a.replica.executor.advance([{ incarnation: other, after: 7, upTo: 8 }]);
    await b.replica.executor.flush();
    await a.replica.executor.flush();
    assert.equal((await a.replica.executor.commitVector()).get(other), 9);
    assert.equal(
      [...(await b.replica.executor.commitVector()).keys()].at(-1),
      b.replica.engine.incarnation,
    );
  });

  it('joins a whole large set in pieces, and a reset of it, as memory does', async () => {
    const from = await inMemory();
    const elements = Array.from({ length: ELEMENTS }, (_, index) => `element ${index}`);
    for (let at = 0; at < ELEMENTS; at += 5_000) {
      await from.ask({ type: 'set-add', name: 's', elements: elements.slice(at, at + 5_000) });
    }
    const odd = elements.filter((_, index) => index % 2 === 1);
    await from.ask({ type: 'set-remove', name: 's', elements: odd });
    const { replica, store, connection } = await replicaOn(redis);
    const whole = async () => ({ set: { whole: (await from.options.store.state(ref('s'))).set! } });
    for (const expected of [true, false]) {
      const startedMs = performance.now();
      assert.equal(await joinNamed(replica.engine, ref('s'), await whole()), expected);
      const what = expected ? 'joined' : 'joined again';
      figure(`${ELEMENTS / 2} elements in Redis ${what} in`, performance.now() - startedMs, 'ms');
    }
    const page = { after: undefined, limit: 10 };
    assert.deepEqual(await store.digests(page), await from.options.store.digests(page));
    await from.ask({ type: 'set-reset', name: 's' });
    const startedMs = performance.now();
    assert.equal(await joinNamed(replica.engine, ref('s'), await whole()), true);
    figure(`${ELEMENTS / 2} elements in Redis cleared in`, performance.now() - startedMs, 'ms');
    assert.deepEqual(await store.digests(page), await from.options.store.digests(page));
    const keys = [
      'default:elements:s',
      'default:pieces:s',
      `default:piece-${placeOf('element 0')}:s`,
    ];
    assert.equal(await connection.command(['EXISTS', ...keys]), '0');
  });

  it('follows the stamps that it joins, but for those too far ahead', async () => {
    const { replica, told } = await replicaOn(redis);
    const write = async (aheadMs: number, value: string) => {
      const hlc = BigInt(NOW + aheadMs) << 16n;
      const by = { incarnation: newIncarnation(), hlc, replica: 'z', value };
      const register = writeRegister(emptyRegister(), by);
      assert.equal(await joinNamed(replica.engine, ref(value), { register }), true);
    };
    await write(TestReplica.driftMaxMs + 1, 'far');
    await replica.ask({ type: 'increment', name: 'a', by: 1, opId: 'one' });
    await write(30_000, 'near');
    const put = await replica.ask({ type: 'register-put', name: 'near', value: 'later' });
    assert.equal((put.outcome.value as { value: string }).value, 'later');
    const stamps = told.map(({ hlc }) => hlcToMs(hlc) - NOW);
    assert.deepEqual(stamps, [0, 30_000]);
  });

  it('fails a join of what is damaged here, and does the others of its batch', async () => {
    const from = await inMemory();
    for (const name of ['a', 'b']) await from.ask({ type: 'increment', name, by: 1 });
    const { replica, connection } = await replicaOn(redis);
    await connection.command(['SET', 'default:counter:a', 'garbage']);
    const joins = await Promise.allSettled(
      ['a', 'b'].map(async (name) => {
        const { counter } = await from.options.store.state(ref(name));
        return joinNamed(replica.engine, ref(name), { counter });
      }),
    );
    assert.deepEqual(
      joins.map((it) => (it.status === 'fulfilled' ? it.value : it.reason.code)),
      ['storage_damaged', true],
    );
  });

  it('settles: at once where nothing was written, else after the next sync', async () => {
    const { replica, store } = await replicaOn(redis);
    const timed = async (what: string) => {
      const startedMs = performance.now();
      await store.settle();
      const tookMs = performance.now() - startedMs;
      figure(`settled ${what} after`, tookMs, 'ms');
      return tookMs;
    };
    await replica.ask({ type: 'increment', name: 'a', by: 1 });
    const tookMs = await timed('a write');
    assert.ok(tookMs > 900 && tookMs < 5_000, `${tookMs} ms`);
    assert.ok((await timed('nothing new')) < 500);
    await replica.ask({ type: 'increment', name: 'a', by: 1 });
    let isWriting = true;
    const write = async () => {
      while (isWriting) await replica.ask({ type: 'increment', name: 'a', by: 1 });
    };
    const writing = write();
    const whileWritingMs = await timed('while others write');
    isWriting = false;
    await writing;
    assert.ok(whileWritingMs > 900 && whileWritingMs < 5_000, `${whileWritingMs} ms`);
    const always = await replicaOn(strict);
    await always.replica.ask({ type: 'increment', name: 'a', by: 1 });
    const startedMs = performance.now();
    await always.store.settle();
    assert.ok(performance.now() - startedMs < 500);
  });
});
