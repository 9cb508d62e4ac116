/**
 * Linearizability over servers: two instances of event-ingest beside their sidecars, a materializer,
 * three members of etcd. Services, sidecars and members are killed with -9 and stopped, and an
 * instance is cut off from etcd, while 16 clients append, read and take leases.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { ServerProcess } from '@memplane/stack';
import { figure, type Seeded, scaled, testSeed } from '@memplane/testkit';
import { judge, porcupine } from './porcupine.ts';
import { StrongLoad, type StrongTarget } from './strong-load.ts';
import { StrongStack } from './strong-stack.ts';

const HISTORIES = scaled('etcd_histories', { ci: 2, soak: 200 });
const OPERATIONS = scaled('etcd_history_operations', { ci: 150, soak: 2_000 });
const CLIENTS = 16;
const TTL_MS = 400;
const FAULTS_MAX = 3;
const DOWN_MS_MAX = 1_500;

let stack: StrongStack;
before(async () => {
  stack = await StrongStack.start({
    ...{ etcdMembers: 3, ingests: 2, registrationMs: 4_000, cuttable: true },
  });
});
after(() => stack?.[Symbol.asyncDispose]());

test(`${HISTORIES} histories of ${OPERATIONS} operations on three members of etcd`, async () => {
  const command = await porcupine();
  const random = testSeed('histories on etcd');
  const target: StrongTarget = {
    ingest: (seeded) => seeded.pick(stack.ingests).url,
    materializer: (seeded) => seeded.pick(stack.materializers).url,
    headers: stack.headers,
  };
  const counts = { operations: 0, unknown: 0, known: 0 };
  const struck = new Map<string, number>();
  for (let number = 0; number < HISTORIES; number++) {
    const seeded = random.fork(number);
    const load = new StrongLoad(target, {
      ...{ clients: CLIENTS, operations: OPERATIONS, ttlMs: TTL_MS, name: `e${number}` },
    });
    const loading = load.run(seeded);
    await Promise.all([loading, strikeUnder(loading, seeded.fork(CLIENTS), struck)]);
    const unknown = load.history.filter(({ result }) => result === 'unknown').length;
    await load.settle(seeded);
    const { illegal, undecided, operations } = judge(command, load.history);
    assert.deepEqual([illegal, undecided], [[], []], `history ${number}\n${tails()}`);
    counts.operations += operations;
    counts.unknown += unknown;
    counts.known += load.history.filter(({ result }) => result !== 'unknown').length;
  }
  assert.ok(counts.known >= HISTORIES * OPERATIONS, JSON.stringify(counts));
  figure('linearizability on etcd: histories', HISTORIES);
  figure('linearizability on etcd: operations', counts.operations);
  figure('linearizability on etcd: operations whose end nobody knows', counts.unknown);
  for (const [fault, times] of struck) figure(`linearizability on etcd: ${fault}`, times);
});

/** Faults, one after the other, as long as the load goes on; what is down comes back. */
async function strikeUnder(
  loading: Promise<void>,
  random: Seeded,
  struck: Map<string, number>,
): Promise<void> {
  let isLoaded = false;
  const ended = loading.finally(() => {
    isLoaded = true;
  });
  for (let faults = random.int(1, FAULTS_MAX); faults > 0; faults--) {
    await Promise.race([ended, sleep(random.int(100, 1_500))]);
    if (isLoaded) return;
    const { name, strike } = random.pick(FAULTS);
    struck.set(name, (struck.get(name) ?? 0) + 1);
    await strike(random);
  }
}

interface Fault {
  readonly name: string;
  readonly strike: (random: Seeded) => Promise<void>;
}

const anIngest = (random: Seeded) => random.pick(stack.ingests);
const FAULTS: readonly Fault[] = [
  { name: 'kill -9 of event-ingest', strike: (random) => killed(random, anIngest(random).app) },
  { name: 'kill -9 of a sidecar', strike: (random) => killed(random, anIngest(random).sidecar) },
  {
    name: 'kill -9 of a member of etcd',
    strike: (random) => killed(random, random.pick(stack.etcds)),
  },
  {
    name: 'kill -9 of the materializer',
    strike: (random) => killed(random, random.pick(stack.materializers).app),
  },
  { name: 'SIGSTOP of event-ingest', strike: (random) => stopped(random, anIngest(random).app) },
  { name: 'SIGSTOP of a sidecar', strike: (random) => stopped(random, anIngest(random).sidecar) },
  {
    name: 'SIGSTOP of a member of etcd',
    strike: (random) => stopped(random, random.pick(stack.etcds)),
  },
  {
    name: 'cut of an instance from etcd',
    strike: async (random) => {
      const { ways } = anIngest(random);
      for (const way of ways) way.cut();
      await sleep(random.int(TTL_MS, DOWN_MS_MAX * 2));
      for (const way of ways) way.mend();
    },
  },
  {
    name: 'no majority of etcd',
    strike: async (random) => {
      const two = random.shuffle(stack.etcds).slice(0, 2);
      await Promise.all(two.map((member) => stopped(random, member)));
    },
  },
];

async function killed(random: Seeded, server: ServerProcess): Promise<void> {
  await server.kill();
  await sleep(random.int(0, DOWN_MS_MAX));
  await server.start();
}

/** For the others as if it were cut off: connections stand, and nothing comes. */
async function stopped(random: Seeded, server: ServerProcess): Promise<void> {
  server.pause();
  await sleep(random.int(TTL_MS, DOWN_MS_MAX * 2));
  server.resume();
}

function tails(): string {
  return stack.ingests.map(({ app }) => app.logTail()).join('\n');
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
