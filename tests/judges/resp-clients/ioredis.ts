/** What somebody would write with ioredis; see README.md. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';

const [port = '', token = '', prefix = ''] = process.argv.slice(2);
const CONNECTIONS = 6;
const PIPELINES = 5;
const PIPELINED = 40;
const ROUNDS = 15;

/** Commands are not repeated by the client itself, so that what was not answered is known. */
async function client(protocol: number, password: string | undefined = token): Promise<Redis> {
  const redis = new Redis(Number(port), '127.0.0.1', {
    ...(password === '' ? {} : { password }),
    connectionName: 'judge',
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    retryStrategy: () => 5,
    protocol: protocol as 2 | 3,
  });
  redis.on('error', () => {});
  return redis;
}

async function connects(protocol: number): Promise<void> {
  const redis = await client(protocol);
  assert.equal(await redis.ping(), 'PONG');
  assert.ok(Number(await redis.client('ID')) > 0);
  assert.equal(await redis.client('GETNAME'), 'judge');
  assert.equal(await redis.select(0), 'OK');
  assert.match(await redis.info(), /role:master/);
  assert.ok(Number(await redis.command('COUNT')) > 10);
  redis.disconnect();
  for (const [wrong, refused] of [
    ['wrong', /WRONGPASS/],
    ['', /NOAUTH/],
  ] as const) {
    const stranger = await client(protocol, wrong);
    await assert.rejects(stranger.call('PING'), refused);
    stranger.disconnect();
  }
}

async function types(protocol: number): Promise<void> {
  const redis = await client(protocol);
  const set = `${prefix}-set-${protocol}`;
  assert.equal(await redis.call('CRDT.SADD', set, 'a', 'b', 'ü c'), 3);
  assert.equal(await redis.call('CRDT.SREM', set, 'a'), 1);
  assert.equal(await redis.call('CRDT.SISMEMBER', set, 'b'), 1);
  const members = (await redis.call('CRDT.SMEMBERS', set)) as Iterable<string>;
  assert.deepEqual([...members], ['b', 'ü c']);
  const register = `${prefix}-register-${protocol}`;
  assert.equal(await redis.call('CRDT.SET', register, 'line\r\n'), 'OK');
  assert.equal(await redis.call('CRDT.READ', register), 'line\r\n');
  assert.equal(await redis.call('CRDT.READ', `${register}-none`), null);
  await assert.rejects(redis.call('CRDT.INCR', set, '1'), /^ReplyError: WRONGTYPE/);
  await assert.rejects(redis.call('CRDT.INCR', set, 'one'), /^ReplyError: ERR value is not an int/);
  assert.match(JSON.stringify(await redis.call('CRDT.MEMBERS')), /"alive"/);
  redis.disconnect();
}

/** On connections of their own, which the balancer spreads over all replicas. */
async function each(protocol: number, work: (worker: number, redis: Redis) => Promise<void>) {
  const all: Redis[] = [];
  for (let i = 0; i < CONNECTIONS; i++) {
    const redis = await client(protocol);
    await redis.ping();
    all.push(redis);
  }
  await Promise.all(all.map((redis, worker) => work(worker, redis)));
  for (const redis of all) redis.disconnect();
}

async function count(protocol: number): Promise<void> {
  await each(protocol, async (worker, redis) => {
    for (let i = 0; i < PIPELINES; i++) {
      const pipeline = redis.pipeline();
      for (let j = 0; j < PIPELINED; j++) {
        const opId = `${protocol}-${worker}-${i}-${j >> 1}`;
        pipeline.call('CRDT.INCR', `${prefix}-plain`, '1');
        pipeline.call('CRDT.INCR', `${prefix}-ops`, '2', 'OPID', opId);
      }
      for (const [error] of (await pipeline.exec()) ?? []) assert.equal(error, null);
    }
  });
}

async function session(): Promise<void> {
  const all = await Promise.all([client(3), client(3), client(3)]);
  const name = `${prefix}-session`;
  for (let i = 0; i < ROUNDS; i++) {
    const [writer, reader] = [all[i % 3], all[(i + 1) % 3]];
    await writer?.call('CRDT.INCR', name, '1');
    const seen = String(await writer?.call('CRDT.TOKEN'));
    while ((await reader?.call('CRDT.AFTER', seen).catch(() => undefined)) !== 'OK');
    assert.equal(await reader?.call('CRDT.GET', name), i + 1);
  }
  for (const redis of all) redis.disconnect();
}

async function killed(): Promise<{ total: number; repeated: number }> {
  let acknowledged = 0;
  let cutAt = 0;
  let isTold = false;
  const unanswered: string[] = [];
  const deadline = performance.now() + 20_000;
  await each(3, async (worker, redis) => {
    for (let i = 0; cutAt === 0 || performance.now() - cutAt < 500; i++) {
      const opId = `killed-${worker}-${i}`;
      try {
        await redis.call('CRDT.INCR', `${prefix}-killed`, '1', 'OPID', opId);
        acknowledged++;
      } catch {
        unanswered.push(opId);
        cutAt ||= performance.now();
      }
      if (acknowledged > 100 && !isTold) {
        isTold = true;
        console.log('counting');
      }
      assert.ok(performance.now() < deadline, 'nobody was cut off');
      await sleep(1);
    }
  });
  console.log('cut');
  await once(process.stdin, 'data');
  const redis = await client(2);
  for (const opId of unanswered) {
    await redis.call('CRDT.INCR', `${prefix}-killed`, '1', 'OPID', opId);
  }
  redis.disconnect();
  return { total: acknowledged + unanswered.length, repeated: unanswered.length };
}

for (const protocol of [2, 3]) {
  await connects(protocol);
  await types(protocol);
  await count(protocol);
}
await session();
const { total, repeated } = await killed();
const counted = 2 * CONNECTIONS * PIPELINES * PIPELINED;
const totals = { plain: counted, ops: counted, session: ROUNDS, killed: total, repeated };
console.log(JSON.stringify(totals));
process.exit(0);
