import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { dispatch } from '../../domain/dispatch.ts';
import { joinNamed } from '../../domain/join-all.ts';
import { KEPT_TYPES, type KeptType } from '../../domain/port.ts';
import { TestReplica } from '../../domain/test-replica.ts';
import { MemoryStore } from '../test-memory-store.ts';
import type { RedisConnection } from './connection.ts';
import { TestRedis } from './test-redis.ts';
import { newIncarnations, redisReplica } from './test-redis-replica.ts';

const ref = { tenant: 'default', name: 'a' };
const options = {
  now: () => 1_790_000_000_000,
  newIncarnation: newIncarnations().next,
  told: () => {},
};

/** What a hand may do to a value, beside writing another in its place. */
const EDITS: [string, KeptType, (type: KeptType) => string[][]][] = [
  ...KEPT_TYPES.flatMap((type): typeof EDITS => [
    [`a ${type} is garbage`, type, () => [['SET', `default:${type}:a`, 'garbage']]],
    [`a ${type} is removed`, type, () => [['DEL', `default:${type}:a`]]],
    [
      `a ${type} has another type`,
      type,
      () => [
        ['DEL', `default:${type}:a`],
        ['LPUSH', `default:${type}:a`, 'x'],
      ],
    ],
  ]),
  ['an element is removed', 'set', () => [['HDEL', 'default:elements:a', 'x']]],
  ['an element is added', 'set', () => [['HSET', 'default:elements:a', 'z', 'garbage']]],
  ['the order of elements is gone', 'set', () => [['DEL', 'default:members:a']]],
  ['all elements are gone', 'set', () => [['DEL', 'default:elements:a']]],
];

describe('a Redis that was edited by hand', () => {
  let redis: TestRedis;
  let connection: RedisConnection;
  before(async () => {
    redis = await TestRedis.start();
    connection = await redis.connect();
  });
  after(async () => {
    await redis[Symbol.asyncDispose]();
  });

  let other: TestReplica;
  beforeEach(async () => {
    other = await TestReplica.start({ ...options, id: 'o', store: new MemoryStore() });
    await other.ask({ type: 'increment', name: 'a', by: 3, opId: 'x' });
    await other.ask({ type: 'increment', name: 'well', by: 1 });
    await other.ask({ type: 'flag-vote', name: 'a', version: 5 });
    // On two sides of a cut a name comes to hold all types.
    for (const type of ['set-add', 'register-put', 'map-increment'] as const) {
      const store = new MemoryStore();
      const side = await TestReplica.start({ ...options, id: 's', store });
      const place = { type: 'counter', path: ['in', 'f'] } as const;
      await side.ask({ type, name: 'a', elements: ['x', 'y'], value: 'v', by: 2, place });
      await bring(side, other);
    }
  });

  async function bring(from: TestReplica, to: TestReplica): Promise<void> {
    for (const name of ['a', 'well']) {
      const { set, ...rest } = await from.options.store.state({ ...ref, name });
      await joinNamed(to.engine, { ...ref, name }, { ...rest, set: set && { whole: set } });
    }
  }

  async function begin() {
    await TestRedis.empty(connection);
    const replica = redisReplica(connection, { ...options, id: 'r' });
    await bring(other, replica);
    assert.deepEqual(await replica.digests(), await other.digests());
    return replica;
  }

  for (const [what, type, commands] of EDITS) {
    it(`${what}: is found, is not given away, and is put right by the others`, async () => {
      const replica = await begin();
      const { store } = replica.options;
      for (const words of commands(type)) await connection.command(words);
      const damaged = (await Array.fromAsync(store.verify())).filter(
        ({ stored, computed }) => stored !== computed,
      );
      assert.deepEqual(
        damaged.map(({ name, type: found }) => `${found} ${name}`),
        [`${type} a`],
      );
      if (!what.endsWith('is removed')) {
        await assert.rejects(store.state(ref), { code: 'storage_damaged' });
      }
      await store.digests({ after: undefined, limit: 10 });
      const before = replica.executor.incarnation;
      await dispatch(replica.engine, 'discard', ref, (command) => {
        command.discards = type;
      });
      assert.notEqual(replica.executor.incarnation, before);
      await bring(other, replica);
      assert.deepEqual(await replica.digests(), await other.digests());
    });
  }

  it('a name that is in no list any more is listed again', async () => {
    const replica = await begin();
    await connection.command(['DEL', 'default:names:counter', 'default:names:set']);
    assert.notDeepEqual(await replica.digests(), await other.digests());
    await bring(other, replica);
    assert.deepEqual(await replica.digests(), await other.digests());
  });

  it('does not begin a removed value anew by itself', async () => {
    const replica = await begin();
    await connection.command(['DEL', 'default:counter:well']);
    const { error } = await replica.ask({ type: 'increment', name: 'well', by: 1 });
    assert.equal(error?.code, 'storage_damaged');
  });

  it('has all instances on it go on under other incarnations where a value is dropped', async () => {
    const [first, second] = [await redis.connect(), await redis.connect()];
    const [one, two] = [first, second].map((each) => redisReplica(each, { ...options, id: 'r' }));
    assert.ok(one && two);
    await two.ask({ type: 'increment', name: 'well', by: 1 });
    const renewed = Promise.withResolvers<void>();
    const before = two.executor.incarnation;
    two.executor.onNewState = renewed.resolve;
    await dispatch(one.engine, 'discard', { ...ref, name: 'well' }, (command) => {
      command.discards = 'counter';
    });
    const done = await one.ask({ type: 'increment', name: 'well', by: 1 });
    assert.equal(done.outcome.number, 1);
    const lost = await two.ask({ type: 'increment', name: 'well', by: 1 });
    assert.equal(lost.error?.code, 'storage_unavailable');
    await renewed.promise;
    assert.notEqual(two.executor.incarnation, before);
    assert.equal((await two.ask({ type: 'increment', name: 'well', by: 1 })).outcome.number, 2);
  });
});
