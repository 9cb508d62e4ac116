/**
 * What a replica costs in front of its own Redis.
 *
 *   node benchmarks/crdt-redis.ts [rounds] [commands per run]
 *
 * One Redis (AOF, `appendfsync everysec`), one crdt-sync over it, both in processes of their own.
 * - `redis-benchmark`, 50 connections, drives `CRDT.INCR key 1` on crdt-sync and `INCRBY key 1` on
 *   the same Redis, in turn, with pipelines of 1 and of 16.
 * - Adding to an OR-Set of 10⁶ elements against one of 10³: what is added is taken away again
 *   between the rounds.
 * - What crdt-sync holds in memory then, with 10⁴ counters beside the sets.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { nodeFlags, redisPlan, redisTool, ServerProcess } from '@memplane/stack';
import { MIB, processMemory, ScratchFolder } from '@memplane/testkit';
import { Redis } from 'ioredis';
import { TestInstance } from '../services/crdt-sync/src/test-instance.ts';
import { interleave, ratio, summarize } from './lib/rounds.ts';
import { atLeast, atMost, emitRow, SHORT } from './lib/row.ts';

const ROUNDS = Number(process.argv[2] ?? (SHORT ? 2 : 7));
const COMMANDS = Number(process.argv[3] ?? (SHORT ? 10_000 : 200_000));
const SMALL_SET = 1_000;
const LARGE_SET = SHORT ? 20_000 : 1_000_000;
const COUNTERS = SHORT ? 1_000 : 10_000;
const ADDS = SHORT ? 500 : 1_000;
const ADDS_PER_PIPELINE = 16;
const RSS_MIB_MAX = 200;
const PIPELINES = [
  { depth: 1, goal: 0.35, commands: COMMANDS / 4 },
  { depth: 16, goal: 0.25, commands: COMMANDS },
] as const;
const run = promisify(execFile);

/** What `make build` made, as it is deployed; else the sources. */
const built = fileURLToPath(new URL('../dist/services/crdt-sync.js', import.meta.url));
const shown = (value: number) => Math.round(value).toLocaleString('en').padStart(10);
const percent = (spread: number) => `± ${(spread * 100).toFixed(0)} %`;

/** Commands per second, as redis-benchmark says. */
async function drive(port: number, words: readonly string[], depth: number, commands: number) {
  const { command, env } = await redisTool('redis-benchmark');
  const load = ['-p', `${port}`, '-P', `${depth}`, '-c', '50', '-n', `${commands}`, '--csv'];
  const options = { env: { ...process.env, ...env } };
  const { stdout } = await run(command, [...load, ...words], options);
  const rate = Number(/^"[^"]*","([\d.]+)"/.exec(stdout.trim().split('\n').at(-1) ?? '')?.[1]);
  if (!(rate > 0)) throw new Error(`redis-benchmark said: ${stdout}`);
  return rate;
}

async function increments(respPort: number, redisPort: number): Promise<void> {
  for (const { depth, goal, commands } of PIPELINES) {
    const contenders = [
      { name: 'CRDT.INCR', run: () => drive(respPort, ['CRDT.INCR', 'k', '1'], depth, commands) },
      { name: 'INCRBY', run: () => drive(redisPort, ['INCRBY', 'k', '1'], depth, commands) },
    ];
    const [ours, redis] = await interleave(contenders, ROUNDS);
    if (!ours || !redis) throw new Error('nothing was measured');
    for (const { name, median, spread } of [ours, redis]) {
      console.log(`-P ${depth}  ${name.padEnd(10)} ${shown(median)} /s  ${percent(spread)}`);
    }
    const share = ratio('ratio', ours, redis);
    console.log(`-P ${depth}  ratio      ${share.median.toFixed(2)} ${percent(share.spread)}`);
    emitRow(`\`CRDT.INCR\` over Redis, \`redis-benchmark -P ${depth}\``, atLeast(goal), share, {
      against: 'INCRBY on the same Redis, `appendfsync everysec`',
    });
  }
}

async function fill(redis: Redis, name: string, count: number): Promise<void> {
  for (let from = 0; from < count; from += 1_000) {
    const elements = Array.from({ length: Math.min(1_000, count - from) }, (_, i) => from + i);
    await redis.call('CRDT.SADD', name, ...elements.map((n) => `element-${n}`));
  }
}

/** Adds per second of new elements; then removes them. */
async function add(redis: Redis, name: string): Promise<number> {
  const elements = Array.from({ length: ADDS }, (_, i) => `new-${i}`);
  const started = performance.now();
  for (let from = 0; from < ADDS; from += ADDS_PER_PIPELINE) {
    const pipeline = redis.pipeline();
    for (const element of elements.slice(from, from + ADDS_PER_PIPELINE)) {
      pipeline.call('CRDT.SADD', name, element);
    }
    for (const [error, added] of (await pipeline.exec()) ?? []) {
      if (error !== null || added !== 1) throw error ?? new Error(`added ${added}`);
    }
  }
  const seconds = (performance.now() - started) / 1_000;
  await redis.call('CRDT.SREM', name, ...elements);
  return ADDS / seconds;
}

async function sets(redis: Redis): Promise<void> {
  const started = performance.now();
  await fill(redis, 'small', SMALL_SET);
  await fill(redis, 'large', LARGE_SET);
  const seconds = (performance.now() - started) / 1_000;
  console.log(
    `sets of ${shown(SMALL_SET)} and ${shown(LARGE_SET)} made in ${seconds.toFixed(0)} s`,
  );
  const contenders = [
    { name: `${LARGE_SET} elements`, run: () => add(redis, 'large') },
    { name: `${SMALL_SET} elements`, run: () => add(redis, 'small') },
  ];
  const [large, small] = await interleave(contenders, ROUNDS * 3);
  if (!large || !small) throw new Error('nothing was measured');
  for (const { name, median, spread } of [large, small]) {
    console.log(`adding to ${name.padEnd(18)} ${shown(median)} /s  ${percent(spread)}`);
  }
  const share = ratio('ratio', large, small);
  console.log(`adding, ratio ${share.median.toFixed(2)} ${percent(share.spread)}`);
  emitRow('Adding to an OR-Set of 10⁶ elements over Redis', atLeast(0.9), share, {
    against: 'the same with 10³',
  });
}

async function counters(redis: Redis): Promise<void> {
  for (let from = 0; from < COUNTERS; from += 1_000) {
    const pipeline = redis.pipeline();
    for (let i = from; i < from + 1_000; i++) pipeline.call('CRDT.INCR', `counter-${i}`, '1');
    for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error;
  }
}

async function memory(pid: number): Promise<void> {
  const { rss } = await processMemory(pid);
  const mib = rss / MIB;
  console.log(`crdt-sync holds ${mib.toFixed(0)} MiB`);
  const what = 'Memory of crdt-sync over a Redis with 10⁶ elements and 10⁴ counters';
  emitRow(what, atMost(RSS_MIB_MAX, 'MiB'), summarize('rss', [mib]));
}

async function main(): Promise<void> {
  using folder = new ScratchFolder('bench-crdt-redis');
  const settings = { appendfsync: 'everysec' };
  const plan = await redisPlan({ dir: folder.path, settings });
  const server = await ServerProcess.start(plan);
  try {
    await using instance = await TestInstance.start(
      {
        MEMPLANE_REDIS_URL: `redis://127.0.0.1:${plan.port}`,
        MEMPLANE_SET_ELEMENTS_MAX: String(LARGE_SET * 2),
        MEMPLANE_SET_BYTES_MAX: String(256 * MIB),
        MEMPLANE_LOG_LEVEL: 'warn',
        NODE_OPTIONS: nodeFlags('crdt-sync').join(' '),
      },
      undefined,
      existsSync(built) ? built : undefined,
    );
    await increments(instance.respPort, plan.port);
    const redis = new Redis(instance.respPort, '127.0.0.1');
    await counters(redis);
    await sets(redis);
    redis.disconnect();
    await memory(instance.child.pid ?? 0);
  } finally {
    await server.kill();
  }
}

await main();
