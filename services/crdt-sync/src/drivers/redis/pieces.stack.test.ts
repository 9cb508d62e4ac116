import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { addDigests, encodeContext, encodeElement, type OrSetState } from '@memplane/crdt';
import { joinNamed } from '../../domain/join-all.ts';
import { PIECED_FROM_ELEMENTS, WholePieces } from '../../domain/set-pieces.ts';
import { TestReplica } from '../../domain/test-replica.ts';
import { MemoryStore } from '../test-memory-store.ts';
import type { RedisConnection } from './connection.ts';
import { bucketOf, placeOf } from './place.ts';
import type { RedisExecutor } from './redis-executor.ts';
import { checksumOf, sealBare } from './redis-records.ts';
import { list } from './replies.ts';
import { readRow } from './set-records.ts';
import { TestRedis } from './test-redis.ts';
import { newIncarnations, redisReplica } from './test-redis-replica.ts';

const ref = { tenant: 'default', name: 's' };
const ELEMENTS = 2_000;
/** As `lua/6-elements.lua` has it. */
const BUCKETED_FROM = 65;
const some = (count: number) => Array.from({ length: count }, (_, index) => `element ${index}`);
const options = {
  now: () => 1_790_000_000_000,
  newIncarnation: newIncarnations().next,
  told: () => {},
  set_elements_max: ELEMENTS * 2,
};

describe('the pieces of sets on Redis', () => {
  let redis: TestRedis;
  let connection: RedisConnection;
  let replica: TestReplica<RedisExecutor>;
  before(async () => {
    redis = await TestRedis.start();
    connection = await redis.connect();
  });
  after(async () => {
    await redis[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await TestRedis.empty(connection);
    replica = redisReplica(connection, { ...options, id: 'r' });
  });

  async function add(to: TestReplica, elements: readonly string[]): Promise<void> {
    const { error } = await to.ask({ type: 'set-add', name: 's', elements });
    assert.equal(error, undefined);
  }

  /** The rows of pieces, with and without a digest. */
  async function rows() {
    const found = list(await connection.command(['HVALS', 'default:pieces:s']));
    const read = found.map((row) => readRow(row as Buffer));
    return {
      all: read.length,
      undigested: read.filter(({ digest }) => digest === undefined).length,
    };
  }

  it('lose the digest of the one that changed, and get it back when somebody asks', async () => {
    await add(replica, some(ELEMENTS));
    const { pieces } = replica.options.store;
    assert.equal((await rows()).undigested, (await rows()).all);
    await pieces.digests(ref, ['']);
    assert.equal((await rows()).undigested, 0);
    const [first] = some(1);
    for (const type of ['set-add', 'set-remove', 'set-add'] as const) {
      const { error } = await replica.ask({ type, name: 's', elements: [`${first}`] });
      assert.equal(error, undefined);
      // One that is removed may have been alone in its piece.
      assert.ok((await rows()).undigested <= 1);
      if (type === 'set-add') assert.equal((await rows()).undigested, 1);
      await pieces.digests(ref, ['']);
      assert.equal((await rows()).undigested, 0);
    }
  });

  it('have all of a set that was cut in part, and became small again', async () => {
    const other = await TestReplica.start({ ...options, id: 'o', store: new MemoryStore() });
    const steps: ['set-add' | 'set-remove', string[]][] = [
      ['set-add', some(PIECED_FROM_ELEMENTS - 1)],
      ['set-add', some(PIECED_FROM_ELEMENTS + 40).slice(PIECED_FROM_ELEMENTS)],
      ['set-remove', some(200)],
    ];
    for (const [type, elements] of steps) {
      await replica.ask({ type, name: 's', elements });
      const { set } = await replica.options.store.state(ref);
      const whole = { set: set && { whole: set } };
      await joinNamed(other.engine, ref, whole);
    }
    assert.equal(await connection.command(['EXISTS', 'default:elements:s']), '1');
    assert.deepEqual(await replica.digests(), await other.digests());
    assert.equal(await connection.command(['EXISTS', 'default:elements:s']), '0');
    const whole = new WholePieces((await other.options.store.state(ref)).set ?? assert.fail());
    const { pieces } = replica.options.store;
    assert.deepEqual(await pieces.digests(ref, ['']), whole.digests(['']));
  });

  it('are damaged one by one: the others are given', async () => {
    await add(replica, some(ELEMENTS));
    const { store } = replica.options;
    const [hurt = ''] = some(1);
    const well = some(ELEMENTS).find((element) => placeOf(element) !== placeOf(hurt)) ?? '';
    await connection.command(['HDEL', `default:piece-${placeOf(hurt)}:s`, hurt]);
    const damage = { code: 'storage_damaged' };
    await assert.rejects(store.pieces.below(ref, [placeOf(hurt)], 10), damage);
    await assert.rejects(store.pieces.digests(ref, ['']), damage);
    await assert.rejects(store.state(ref), damage);
    const given = await store.pieces.below(ref, [placeOf(well)], 10);
    assert.ok(given?.pieces.get(placeOf(well))?.has(well));
    const [verified] = await Array.fromAsync(store.verify());
    assert.notEqual(verified?.stored, verified?.computed);
    await add(replica, [well]);
  });

  it('stand in buckets where they are large, and in one hash else', async () => {
    const small = elementsAt('000', BUCKETED_FROM - 1);
    const large = elementsAt('111', BUCKETED_FROM);
    const other = await TestReplica.start({ ...options, id: 'o', store: new MemoryStore() });
    const both = async (type: 'set-add' | 'set-remove', elements: readonly string[]) => {
      for (const each of [replica, other]) {
        const { error } = await each.ask({ type, name: 's', elements });
        assert.equal(error, undefined);
      }
      await exchange();
    };
    /** Each takes over what the other has, and finds what it is told to be there. */
    const exchange = async () => {
      for (const [to, from] of [
        [replica, other],
        [other, replica],
      ] as const) {
        const { set } = await from.options.store.state(ref);
        await joinNamed(to.engine, ref, { set: set && { whole: set } });
      }
      assert.deepEqual(await replica.digests(), await other.digests());
      for await (const { stored, computed } of replica.options.store.verify()) {
        assert.equal(stored, computed);
      }
    };
    const keysAt = async (place: string) =>
      list(await connection.command(['KEYS', `default:piece-${place}*`])).map(String);
    await both('set-add', some(PIECED_FROM_ELEMENTS));
    await both('set-add', [...small, ...large.slice(1)]);
    assert.deepEqual(await keysAt('111'), ['default:piece-111:s']);
    await both('set-add', large.slice(0, 1));
    const buckets = await keysAt('111');
    assert.ok(buckets.length > 4 && buckets.every((key) => /piece-111-[0-9a-f]:s$/.test(key)));
    assert.deepEqual(await keysAt('000'), ['default:piece-000:s']);
    const { store } = replica.options;
    const wants = [...small, ...large].map((element) => ({ ref, element }));
    assert.ok((await store.loadElements(wants)).every((dots) => dots !== undefined));
    // A digest that is kept leaves the piece where it is.
    await store.pieces.digests(ref, ['']);
    assert.equal((await rows()).undigested, 0);
    const has = await replica.ask({ type: 'set-has', name: 's', elements: large });
    assert.equal(has.outcome.number, large.length);
    const given = await store.pieces.below(ref, ['111'], 1_000);
    assert.deepEqual([...(given?.pieces.get('111')?.keys() ?? [])].sort(), [...large].sort());
    await both('set-remove', large.slice(0, 40));
    await both('set-add', large.slice(20, 60));
    await connection.command([
      'HDEL',
      `default:piece-${bucketOf(large[60] ?? '')}:s`,
      large[60] ?? '',
    ]);
    await assert.rejects(store.pieces.below(ref, ['111'], 10), { code: 'storage_damaged' });
    await store.discard('set', ref);
    assert.deepEqual(await keysAt(''), []);
  });

  it('are dropped with their buckets by a reset, here and elsewhere', async () => {
    const other = await TestReplica.start({ ...options, id: 'o', store: new MemoryStore() });
    for (const by of [replica, other]) {
      await add(replica, [...some(PIECED_FROM_ELEMENTS), ...elementsAt('111', BUCKETED_FROM)]);
      const { set } = await replica.options.store.state(ref);
      await joinNamed(other.engine, ref, { set: set && { whole: set } });
      await by.ask({ type: 'set-reset', name: 's' });
      const { set: left } = await other.options.store.state(ref);
      await joinNamed(replica.engine, ref, { set: left && { whole: left } });
      assert.deepEqual(list(await connection.command(['KEYS', 'default:piece*'])).length, 0);
    }
  });

  it('are read as of one moment, however the set changes meanwhile', async () => {
    const elements = some(ELEMENTS * 2);
    await add(replica, elements.slice(0, ELEMENTS));
    let [next, isDone] = [ELEMENTS, false];
    const write = async () => {
      for (; next < elements.length && !isDone; next++) await add(replica, [elements[next] ?? '']);
    };
    const writing = write();
    for (let times = 0; times < 5; times++) {
      const { set } = await replica.options.store.state(ref);
      const size = set?.elements.size ?? 0;
      assert.deepEqual([...(set?.elements.keys() ?? [])].sort(), elements.slice(0, size).sort());
    }
    assert.ok(next > ELEMENTS);
    isDone = true;
    await writing;
  });

  for (const count of [40, PIECED_FROM_ELEMENTS + 100, ELEMENTS]) {
    it(`are made of a set of ${count} elements that was written before there were any`, async () => {
      const other = await TestReplica.start({ ...options, id: 'o', store: new MemoryStore() });
      await add(other, some(count));
      const { set = assert.fail() } = await other.options.store.state(ref);
      await writeAsBefore(connection, set);
      assert.deepEqual(await replica.options.store.state(ref), { ...nothing, set });
      assert.deepEqual(await replica.digests(), await other.digests());
      const has = await replica.ask({ type: 'set-has', name: 's', elements: some(2) });
      assert.equal(has.outcome.number, 2);
      const removed = { type: 'set-remove', name: 's', elements: some(30) } as const;
      for (const each of [replica, other]) await each.ask(removed);
      assert.deepEqual(await replica.digests(), await other.digests());
      for await (const { stored, computed } of replica.options.store.verify()) {
        assert.equal(stored, computed);
      }
      const isCut = count >= PIECED_FROM_ELEMENTS;
      assert.equal((await rows()).all > 0, isCut);
      assert.equal(await connection.command(['EXISTS', 'default:elements:s']), isCut ? '0' : '1');
    });
  }
});

/** Elements whose hashes begin with these digits. */
function elementsAt(place: string, count: number): string[] {
  const elements: string[] = [];
  for (let n = 0; elements.length < count; n++) {
    if (placeOf(`at ${n}`) === place) elements.push(`at ${n}`);
  }
  return elements;
}

const nothing = { counter: undefined, register: undefined, flag: undefined, map: undefined };

/** As the library `memplane_crdt_v4` kept a set. */
async function writeAsBefore(redis: RedisConnection, { elements, context }: OrSetState) {
  let [sum, bytes] = [0n, 0];
  const fields: (string | Buffer)[] = [];
  const members: string[] = [];
  for (const [element, dots] of elements) {
    const body = Buffer.from(encodeElement(element, dots));
    sum = addDigests(sum, BigInt(`0x${checksumOf(body)}`));
    bytes += Buffer.byteLength(element);
    fields.push(element, sealBare(body));
    members.push('0', element);
  }
  await redis.command(['HSET', 'default:elements:s', ...fields]);
  await redis.command(['ZADD', 'default:members:s', ...members]);
  const counts = Buffer.alloc(16);
  counts.writeDoubleBE(elements.size, 0);
  counts.writeDoubleBE(bytes, 8);
  const digits = Buffer.from(sum.toString(16).padStart(32, '0'));
  const body = Buffer.concat([counts, digits, encodeContext(context)]);
  const record = Buffer.concat([sealBare(Buffer.from(checksumOf(body))), body]);
  await redis.command(['SET', 'default:set:s', record]);
  await redis.command(['SADD', '_replica:tenants', 'default']);
  await redis.command(['ZADD', 'default:names:set', '0', 's']);
}
