import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { firstHlcOf } from '@memplane/clock';
import { emptyCounter, increment, UNPLACED } from '@memplane/crdt';
import { joinNamed } from '../../domain/join-all.ts';
import type { LocalCommit } from '../../domain/local-commit.ts';
import { OPID_MEMORY_MS, sent, TestReplica } from '../../domain/test-replica.ts';
import type { RedisConnection } from './connection.ts';
import { stampText } from './redis-records.ts';
import { TestRedis } from './test-redis.ts';
import { newIncarnations, redisReplica } from './test-redis-replica.ts';

const OPS_MAX = 8;
const ref = { tenant: 'default', name: 'c' };
const { next: newIncarnation } = newIncarnations();

describe("a counter's operation ids in Redis", () => {
  let redis: TestRedis;
  let connection: RedisConnection;
  let nowMs = 1_790_000_000_000;
  before(async () => {
    redis = await TestRedis.start({ appendfsync: 'everysec' });
    connection = await redis.connect();
  });
  beforeEach(() => TestRedis.empty(connection));
  after(async () => {
    await connection.close();
    await redis[Symbol.asyncDispose]();
  });

  function started() {
    const told: LocalCommit[] = [];
    const replica = redisReplica(connection, {
      id: 'r',
      now: () => nowMs,
      newIncarnation,
      told: (commit) => told.push({ ...commit, delta: sent([commit.delta]) }),
      op_ids_per_counter_max: OPS_MAX,
    });
    const count = (opId: string | undefined, by = 1) =>
      replica.ask({ type: 'increment', name: 'c', by, opId });
    return { replica, told, count, store: replica.options.store };
  }

  it('refuse new ones when there are too many, and go when they have ended', async () => {
    const { replica, count, store } = started();
    for (let n = 0; n < OPS_MAX; n++) assert.equal((await count(`${n}`)).error, undefined);
    const { error } = await count('new');
    assert.equal(error?.code, 'opid_memory_full');
    assert.deepEqual(error.extra, { limit: 'op_ids_per_counter_max', max: OPS_MAX });
    assert.equal((await count('3')).outcome.flag, true);
    assert.equal((await count(undefined)).outcome.number, OPS_MAX + 1);
    nowMs += OPID_MEMORY_MS + TestReplica.driftMaxMs + 2_000;
    const isStable: string[] = [];
    replica.executor.isStable = ({ incarnation }) => isStable.push(incarnation) < 0;
    assert.equal((await count('new')).error?.code, 'opid_memory_full');
    assert.equal(isStable.length, OPS_MAX);
    nowMs += 2_000;
    replica.executor.isStable = undefined;
    assert.equal((await count('new')).error?.code, 'opid_memory_full', 'makes room behind it');
    assert.deepEqual(await store.opCounts([ref]), [0]);
    assert.equal((await count('new')).outcome.number, OPS_MAX + 2);
  });

  it('are contested when another replica has counted one too, and that is told', async () => {
    const { replica, told, count, store } = started();
    await count('both', 5);
    const { executor } = replica;
    const commits = executor.known.get(executor.incarnation);
    const other = 'e'.repeat(32);
    const claim = { by: 5, hlc: firstHlcOf(nowMs - 50), incarnation: other, seq: 1, commit: 7 };
    const theirs = { ...increment(emptyCounter(), other, 5n), claims: new Map([['both', claim]]) };
    assert.equal(await joinNamed(replica.engine, ref, { counter: theirs }), true);
    assert.equal((await replica.ask({ type: 'counter-get', name: 'c' })).outcome.number, 5);
    assert.deepEqual(await store.loadOps([{ ref, opId: 'both' }]), [claim]);
    assert.deepEqual([told.length, told[1]?.number], [2, (commits ?? 0) + 1]);
    const found = told[1]?.delta.counters.get('default/c');
    assert.deepEqual([found?.entries.size, found?.contested?.get('both')?.length], [0, 2]);
    assert.equal(await joinNamed(replica.engine, ref, { counter: theirs }), false);
    assert.equal(told.length, 2, 'once');
    for await (const { stored, computed } of store.verify()) assert.equal(stored, computed);
  });

  it('of before are kept, and put in order', async () => {
    const stamp = firstHlcOf(nowMs - 1_000);
    for (const [n, opId] of ['y', 'x'].entries()) {
      const used = `\x01\x00${n + 1} ${stampText(stamp + BigInt(n))}`;
      await connection.command(['HSET', 'default:ops:c', opId, used]);
      await connection.command(['RPUSH', 'default:op-order:c', opId]);
    }
    const { count, store } = started();
    const repeated = await count('x', 2);
    assert.deepEqual([repeated.outcome.flag, repeated.outcome.number], [true, 0]);
    assert.equal((await count('y', 7)).error?.code, 'id_reused');
    await count('new');
    assert.deepEqual(await store.opCounts([ref]), [3]);
    const oldest = await store.oldestOps(ref, 2);
    assert.deepEqual(oldest, [
      { opId: 'y', claim: { by: 1, hlc: stamp, ...UNPLACED } },
      { opId: 'x', claim: { by: 2, hlc: stamp + 1n, ...UNPLACED } },
    ]);
    assert.equal(await connection.command(['EXISTS', 'default:op-order:c']), '0');
  });
});
