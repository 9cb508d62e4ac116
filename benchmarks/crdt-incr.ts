/**
 * Durable increments over RESP against Redis.
 *
 *   node benchmarks/crdt-incr.ts [rounds] [commands per run] [keys]
 *
 * `redis-benchmark -P 16`, 50 connections, drives `CRDT.INCR key 1` on crdt-sync and `INCRBY key 1`
 * on a Redis with `appendonly yes`, `appendfsync always`: neither answers before the disk has it.
 * One key by default; with `keys` > 1 each command takes one of them at random. Both servers run
 * all the time, in processes of their own; rounds are interleaved. Needs redis-server and
 * redis-benchmark on the machine.
 */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { interleave, ratio } from './lib/rounds.ts';
import { atLeast, emitRow, SHORT } from './lib/row.ts';

const ROUNDS = Number(process.argv[2] ?? 5);
const COMMANDS = Number(process.argv[3] ?? (SHORT ? 20_000 : 200_000));
const KEYS = Number(process.argv[4] ?? 1);
const GOAL = 0.5;
const run = promisify(execFile);

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

async function untilListening(port: number, child: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) throw new Error(`a server ended with ${child.exitCode}`);
    const socket = connect(port, '127.0.0.1');
    const open = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nothing listens on ${port}`);
}

/** Commands per second, as redis-benchmark says. */
async function drive(port: number, words: readonly string[]): Promise<number> {
  const key = KEYS > 1 ? 'bench:__rand_int__' : 'bench';
  const load = ['-p', String(port), '-P', '16', '-c', '50', '-n', String(COMMANDS), '--csv'];
  const random = KEYS > 1 ? ['-r', String(KEYS)] : [];
  const { stdout } = await run('redis-benchmark', [...load, ...random, ...words, key, '1']);
  const line = stdout.trim().split('\n').at(-1) ?? '';
  const rate = Number(/^"[^"]*","([\d.]+)"/.exec(line)?.[1]);
  if (!(rate > 0)) throw new Error(`redis-benchmark said: ${stdout}`);
  return rate;
}

async function main(): Promise<void> {
  const dir = await mkdtemp(path.join(tmpdir(), 'memplane-bench-'));
  const [redisPort, respPort, httpPort] = [await freePort(), await freePort(), await freePort()];
  await mkdir(path.join(dir, 'redis'));
  const children: ChildProcess[] = [];
  try {
    const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''];
    const where = ['--port', String(redisPort), '--dir', path.join(dir, 'redis')];
    children.push(spawn('redis-server', [...where, ...durable], { stdio: 'ignore' }));
    const main = new URL('../services/crdt-sync/src/main.ts', import.meta.url);
    const env = {
      ...process.env,
      MEMPLANE_DATA_DIR: path.join(dir, 'memplane'),
      MEMPLANE_CRDT_SYNC_PORT: String(httpPort),
      MEMPLANE_RESP_PORT: String(respPort),
      MEMPLANE_LOG_LEVEL: 'warn',
    };
    children.push(spawn(process.execPath, [main.pathname], { env, stdio: 'inherit' }));
    for (const [index, port] of [redisPort, respPort].entries()) {
      await untilListening(port, children[index]!);
    }
    const [ours, redis] = await interleave(
      [
        { name: 'CRDT.INCR', run: () => drive(respPort, ['CRDT.INCR']) },
        { name: 'Redis INCRBY', run: () => drive(redisPort, ['INCRBY']) },
      ],
      ROUNDS,
    );
    if (!ours || !redis) throw new Error('nothing was measured');
    const share = ratio('ratio', ours, redis);
    const shown = (value: number) => Math.round(value).toLocaleString('en').padStart(10);
    console.log(`durable increments, -P 16 -c 50, ${KEYS} key(s), ${ROUNDS} rounds`);
    for (const { name, median, spread } of [ours, redis]) {
      console.log(`${name.padEnd(14)} ${shown(median)} /s  ± ${(spread * 100).toFixed(0)} %`);
    }
    emitRow('durable `CRDT.INCR`, `redis-benchmark -P 16`', atLeast(GOAL), share, {
      against: 'Redis INCRBY, `appendfsync always`',
    });
    const { median, spread } = share;
    const verdict = median >= GOAL ? 'met' : 'missed';
    console.log(
      `ratio          ${median.toFixed(2)} ± ${(spread * 100).toFixed(0)} %  (goal ${GOAL}: ${verdict})`,
    );
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await rm(dir, { recursive: true, force: true });
  }
}

await main();
