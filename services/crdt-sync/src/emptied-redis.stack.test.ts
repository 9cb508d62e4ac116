import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { eventually, figure, scaled } from '@memplane/testkit';
import { freePorts } from '@memplane/testkit/ports';
import { Redis } from 'ioredis';
import type { RedisConnection } from './drivers/redis/connection.ts';
import { TestRedis } from './drivers/redis/test-redis.ts';
import { TestInstance } from './test-instance.ts';

const IDS = ['a', 'b'];
const ELEMENTS = scaled('emptied_redis_elements', { ci: 10_000, soak: 100_000 });
const ADDED_AT_ONCE = 1_000;
/** On a machine that does much else; the figures tell. */
const REPAIRED_MS_MAX = 180_000;
/** What all of it takes while it is taken over, beyond what was held before: a few pieces at a time. */
const GROWTH_MIB_MAX = 96;

describe('a replica whose Redis was emptied', () => {
  const servers = new Map<string, TestRedis>();
  const instances = new Map<string, TestInstance>();
  const clients = new Map<string, Redis>();
  let emptied: RedisConnection;

  before(async () => {
    const ports = await freePorts(IDS.length);
    for (const [index, id] of IDS.entries()) {
      const redis = await TestRedis.start({ appendfsync: 'everysec' });
      servers.set(id, redis);
      const instance = await TestInstance.start({
        MEMPLANE_REDIS_URL: redis.url,
        MEMPLANE_REDIS_PASSWORD: TestRedis.password,
        MEMPLANE_REPLICA_ID: id,
        MEMPLANE_REPLICA_SET: IDS.join(','),
        MEMPLANE_GOSSIP_JOIN: ports.map((port) => `127.0.0.1:${port}`).join(','),
        MEMPLANE_GOSSIP_PORT: String(ports[index]),
        // The machine may have much else to do.
        MEMPLANE_REDIS_COMMAND_TIMEOUT_MS: '30000',
        MEMPLANE_SET_ELEMENTS_MAX: String(ELEMENTS * 2),
        MEMPLANE_LOG_LEVEL: 'warn',
      });
      instances.set(id, instance);
      clients.set(id, new Redis(instance.respPort, '127.0.0.1'));
    }
    emptied = await (servers.get('b') ?? assert.fail()).connect();
  });
  after(async () => {
    for (const client of clients.values()) client.disconnect();
    for (const instance of instances.values()) await instance.kill();
    for (const server of servers.values()) await server[Symbol.asyncDispose]();
  });

  const at = (id: string) => instances.get(id) ?? assert.fail(id);
  const call = (id: string, ...words: [string, ...string[]]) =>
    (clients.get(id) ?? assert.fail(id)).call(...words);

  /** The most memory that a replica has held so far, in MiB. */
  async function peakMib(id: string): Promise<number> {
    const proc = `/proc/${at(id).child.pid}`;
    const status = await readFile(`${proc}/status`, 'utf8');
    return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1_024;
  }

  /** The digest of all that a replica has; empty while it has too much else to do. */
  async function digestAt(id: string): Promise<string> {
    const { status, body } = await at(id)
      .ask('POST', '/v1/reconciliations', { dryRun: true })
      .catch(() => ({ status: 429, body: {} as Record<string, unknown> }));
    assert.ok(status === 200 || status === 429, JSON.stringify(body));
    return String(body['digest'] ?? '');
  }

  async function areEqual(what: string): Promise<number> {
    const startMs = performance.now();
    await eventually(what, REPAIRED_MS_MAX, async () => {
      const count = await emptied.command(['ZCARD', 'default:members:large']);
      return Number(count) === ELEMENTS || undefined;
    });
    const tookMs = performance.now() - startMs;
    await eventually(`${what}, and the rest`, REPAIRED_MS_MAX, async () => {
      const [a, b] = await Promise.all(IDS.map(digestAt));
      return (a !== '' && a === b) || undefined;
    });
    return tookMs;
  }

  it(`has a set of ${ELEMENTS} elements again, and what was beside it`, async () => {
    for (let at = 0; at < ELEMENTS; at += ADDED_AT_ONCE) {
      const elements = Array.from({ length: ADDED_AT_ONCE }, (_, n) => `element-${at + n}`);
      await call('a', 'CRDT.SADD', 'large', ...elements);
    }
    for (const id of IDS) await call(id, 'CRDT.INCR', 'count', '5');
    await areEqual('both have all');
    const before = new Map<string, number>();
    for (const id of IDS) before.set(id, await peakMib(id));
    await emptied.command(['FLUSHALL']);
    const tookMs = await areEqual('the emptied one has all');
    figure(`an emptied Redis has ${ELEMENTS} elements again after`, Math.round(tookMs), 'ms');
    for (const id of IDS) {
      const growth = Math.round((await peakMib(id)) - (before.get(id) ?? 0));
      figure(`what ${id} held at the most grew by`, growth, 'MiB');
      assert.ok(growth <= GROWTH_MIB_MAX, `${id} grew by ${growth} MiB`);
    }
    assert.equal(await call('b', 'CRDT.GET', 'count'), 10);
    await call('b', 'CRDT.SREM', 'large', 'element-0');
    await eventually('a removal after it is at both', 10_000, async () => {
      return (await call('a', 'CRDT.SISMEMBER', 'large', 'element-0')) === 0 || undefined;
    });
  });
});
