/**
 * Leases on etcd: acquiring and releasing one of one's own against `concurrency.Mutex` of etcd's own
 * client; and how soon one that waits has a lease that its holder releases, or does not come back
 * for. One member, two instances of event-ingest.
 *
 *     node benchmarks/leases.ts [rounds] [ms per run] [hand-overs]
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { call, expectStatus, percentile, range } from '@memplane/testkit';
import { StrongStack } from '../tests/judges/strong-stack.ts';
import { etcdRate } from './lib/etcd.ts';
import { interleave, ratio, summarize } from './lib/rounds.ts';
import { atLeast, atMost, emitRow, SHORT } from './lib/row.ts';

const [ROUNDS = SHORT ? 1 : 5, RUN_MS = SHORT ? 500 : 3_000, HANDOVERS = SHORT ? 10 : 200] =
  process.argv.slice(2).map(Number);
const CLIENTS = 16;
const TTL_MS = 500;
const MARGIN = 1.01;
const SLACK_MS = 150;
const EXPIRIES = SHORT ? 2 : 20;

await using stack = await StrongStack.start({ etcdMembers: 1, ingests: 2 });
const endpoints = stack.fixture.etcdPorts.map((port) => `127.0.0.1:${port}`);
const leaseUrl = (instance: number, name: string) =>
  `${stack.ingests[instance % 2]?.url}/v1/leases/${name}`;

interface Granted {
  readonly fencingToken: number;
}

function acquire(url: string, holder: string, ttlMs: number, waitMs = 0): Promise<Granted> {
  return expectStatus<Granted>(200, 'PUT', url, { body: { holder, ttlMs, waitMs } });
}

async function release(url: string, token: number): Promise<void> {
  await expectStatus(204, 'DELETE', `${url}?fencingToken=${token}`);
}

/** @returns pairs of acquire and release per second */
async function leaseRate(): Promise<number> {
  let pairs = 0;
  const began = performance.now();
  const work = Array.from(range(CLIENTS), async (n) => {
    const url = leaseUrl(n, `own-${n}`);
    while (performance.now() - began < RUN_MS) {
      const { fencingToken } = await acquire(url, `client-${n}`, 30_000);
      await release(url, fencingToken);
      pairs++;
    }
  });
  await Promise.all(work);
  return (pairs / (performance.now() - began)) * 1_000;
}

/** Somebody waits where the holder is; it releases. @returns ms until that one has the lease */
async function handOver(n: number): Promise<number> {
  const url = leaseUrl(n, 'handed');
  const { fencingToken } = await acquire(url, `first-${n}`, 30_000);
  const waiting = acquire(url, `second-${n}`, 30_000, 20_000).then((granted) => ({
    granted,
    at: performance.now(),
  }));
  await sleep(20);
  const began = performance.now();
  await release(url, fencingToken);
  const { granted, at } = await waiting;
  await release(url, granted.fencingToken);
  return at - began;
}

/** The holder is gone. @returns ms from its last sign until one that waits elsewhere has the lease */
async function expiry(n: number, isWatched: boolean): Promise<number> {
  const name = `${isWatched ? 'watched' : 'unwatched'}-${n}`;
  const [here, there] = [leaseUrl(0, name), leaseUrl(1, name)];
  await acquire(here, 'gone', TTL_MS);
  const began = performance.now();
  // Whoever has looked at it once has seen since when it is unchanged.
  if (isWatched) await call('PUT', there, { body: { holder: 'looks', ttlMs: TTL_MS } });
  else await sleep(TTL_MS * 0.9);
  await acquire(there, 'next', TTL_MS, 20_000);
  return performance.now() - began;
}

const [pairs, mutex] = await interleave(
  [
    { name: 'acquire and release', run: leaseRate },
    {
      name: 'concurrency.Mutex',
      run: () => etcdRate({ endpoints, do: 'mutex', clients: CLIENTS, durationMs: RUN_MS }),
    },
  ],
  ROUNDS,
);
if (pairs && mutex) {
  const note = `${Math.round(pairs.median)} pairs/s, ${Math.round(mutex.median)} of the mutex`;
  console.log(note);
  const what = `lease acquire and release, ${CLIENTS} clients`;
  emitRow(what, atLeast(0.5), ratio('', pairs, mutex), { against: 'etcd concurrency.Mutex', note });
}

const handed: number[] = [];
for (const n of range(HANDOVERS)) handed.push(await handOver(n));
report('lease hand-over on release, p99', 50, percentile(handed, 0.99));
for (const isWatched of [true, false]) {
  const times = await Promise.all(
    Array.from(range(EXPIRIES), async (n) => {
      await sleep(n * 50);
      return expiry(n, isWatched);
    }),
  );
  const goal = (isWatched ? TTL_MS * MARGIN : TTL_MS * 2) + SLACK_MS;
  const how = isWatched ? 'watched' : 'not watched';
  report(`lease hand-over on expiry of ${TTL_MS} ms, ${how}, largest`, goal, Math.max(...times));
}

function report(what: string, goalMs: number, ms: number): void {
  console.log(`${what}: ${ms.toFixed(0)} ms (goal ${goalMs} ms)`);
  emitRow(what, atMost(goalMs, 'ms'), summarize(what, [ms]));
}
