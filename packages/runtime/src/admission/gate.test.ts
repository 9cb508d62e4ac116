import assert from 'node:assert/strict';
import { test } from 'node:test';
import { figure, percentile, testSeed } from '@memplane/testkit';
import { AdmissionGate, isRefusal, type Permit } from './gate.ts';
import { Baseline } from './gradient-limit.ts';
import { type Client, type Outcome, SimulatedService } from './simulated-service.ts';

/** 8 at once, 10 ms each: 800 a second. */
const MODEL = { workers: 8, serviceMs: 10 };
const CAPACITY = 800;
/** Beside who asks for ten times of a share, 2.1 to 2.7 times by the seed. */
const OTHERS_SLOWER_MAX = 3.2;
const ONE = { tenant: 'one' };

function between(outcomes: readonly Outcome[], fromMs: number, toMs: number): Outcome[] {
  return outcomes.filter(({ arrivedMs }) => arrivedMs >= fromMs && arrivedMs < toMs);
}

function goodput(outcomes: readonly Outcome[], fromMs: number, toMs: number): number {
  const served = between(outcomes, fromMs, toMs).filter(({ endedMs }) => endedMs !== undefined);
  return (served.length * 1_000) / (toMs - fromMs);
}

function p99(outcomes: readonly Outcome[]): number {
  const times = outcomes.flatMap(({ arrivedMs, endedMs }) =>
    endedMs === undefined ? [] : [endedMs - arrivedMs],
  );
  return percentile(times, 0.99);
}

const isRefused = ({ endedMs }: Outcome) => endedMs === undefined;

test('under a load that the service can do nothing is refused', async () => {
  const random = testSeed('normal load');
  const service = new SimulatedService(MODEL, () => random.next());
  await service.arrive(ONE, CAPACITY * 0.7, 20_000);
  assert.equal(service.outcomes.filter(isRefused).length, 0);
  assert.ok(p99(service.outcomes) < 40, `p99 ${p99(service.outcomes)} ms`);
});

test('at 2 and 5 times of what it can do it does as much, in time, and is at once well after', async () => {
  const random = testSeed('overload');
  const service = new SimulatedService(MODEL, () => random.next());
  const at = [10_000, 25_000, 40_000, 50_000] as const;
  await service.arrive(ONE, CAPACITY * 0.7, at[0]);
  const normalMs = p99(between(service.outcomes, 5_000, at[0]));
  await service.arrive(ONE, CAPACITY * 2, at[1]);
  await service.arrive(ONE, CAPACITY * 5, at[2]);
  await service.arrive(ONE, CAPACITY * 0.7, at[3]);
  for (const [name, fromMs, toMs] of [
    ['2 times', at[0], at[1]],
    ['5 times', at[1], at[2]],
  ] as const) {
    const rate = goodput(service.outcomes, fromMs + 2_000, toMs);
    const tookMs = p99(between(service.outcomes, fromMs + 2_000, toMs));
    figure(`${name}, goodput`, rate.toFixed(0), `of ${CAPACITY} a second`);
    figure(`${name}, p99 of the accepted`, tookMs.toFixed(0), `ms, ${normalMs.toFixed(0)} before`);
    assert.ok(rate > 0.9 * CAPACITY, `${name}: ${rate}`);
    assert.ok(tookMs < 10 * normalMs, `${name}: p99 ${tookMs} ms`);
  }
  const after = between(service.outcomes, at[2] + 1_000, at[3]);
  assert.equal(after.filter(isRefused).length, 0);
  assert.ok(p99(after) < 2 * normalMs, `after: p99 ${p99(after)} ms`);
});

test('the figures above tell a gate that lets all in', async () => {
  const random = testSeed('no gate');
  const all = { concurrency_min: 100_000, concurrency_max: 100_000 };
  const service = new SimulatedService(MODEL, () => random.next(), all);
  await service.arrive(ONE, CAPACITY * 0.7, 2_000);
  const normalMs = p99(service.outcomes);
  await service.arrive(ONE, CAPACITY * 2, 5_000);
  await service.runUntil(8_000);
  const tookMs = p99(between(service.outcomes, 3_000, 5_000));
  assert.ok(tookMs > 10 * normalMs, `p99 ${tookMs} ms, ${normalMs} before`);
});

test('the limit follows what the service can do', async () => {
  const random = testSeed('capacity that changes');
  const service = new SimulatedService(MODEL, () => random.next());
  await service.arrive(ONE, CAPACITY * 0.7, 10_000);
  await service.arrive(ONE, CAPACITY * 2, 20_000);
  const before = service.gate.concurrency;
  assert.ok(before >= 8 && before < 80, `${before} for 8 workers`);
  service.model = { workers: 32, serviceMs: 10 };
  await service.arrive(ONE, CAPACITY * 8, 35_000);
  const rate = goodput(service.outcomes, 30_000, 35_000);
  assert.ok(rate > 0.9 * 4 * CAPACITY, `${rate} of ${4 * CAPACITY}`);
  service.model = MODEL;
  await service.arrive(ONE, CAPACITY * 2, 65_000);
  const again = service.gate.concurrency;
  figure('limits', `${before}, then ${again}`);
  assert.ok(again < 80, `${again} for 8 workers again`);
});

test('another mix of slow and quick requests is not taken for load', async () => {
  const random = testSeed('mix');
  const service = new SimulatedService({ workers: 64, serviceMs: 2 }, () => random.next());
  const quick = { ...ONE, kind: new Baseline() };
  const slow = { ...ONE, kind: new Baseline(), serviceMs: 200 };
  const both = (quicks: number, slows: number, untilMs: number) =>
    service.arriveAll(
      [
        { client: quick, perSecond: quicks },
        { client: slow, perSecond: slows },
      ],
      untilMs,
    );
  await both(2_000, 2, 10_000);
  const before = service.gate.concurrency;
  await both(50, 150, 30_000);
  assert.equal(service.outcomes.filter(isRefused).length, 0);
  assert.ok(service.gate.concurrency >= before, `${before} → ${service.gate.concurrency}`);
});

test('a tenant, and an agent, at ten times of their share do not slow the others', async () => {
  const random = testSeed('shares');
  const quiet = Array.from({ length: 9 }, (_, i) => ({ tenant: `tenant ${i}` }));
  const greedyTenant: Client = { tenant: 'greedy' };
  const greedyAgent: Client = { tenant: 'tenant 0', agent: 'greedy' };
  const share = CAPACITY / 10;
  const load = quiet.map((client) => ({ client, perSecond: 0.7 * share }));
  const run = async (greedy: Client | undefined) => {
    const service = new SimulatedService(MODEL, () => random.next());
    await service.arriveAll(load, 10_000);
    const more = greedy === undefined ? [] : [{ client: greedy, perSecond: 10 * share }];
    await service.arriveAll([...load, ...more], 30_000);
    const others = service.outcomes.filter(({ client }) => client !== greedy);
    return between(others, 10_000, 29_000);
  };
  const alone = p99(await run(undefined));
  for (const greedy of [greedyTenant, greedyAgent]) {
    const others = await run(greedy);
    const refused = others.filter(isRefused).length / others.length;
    figure(`beside a greedy ${greedy.agent ?? 'tenant'}`, `${p99(others).toFixed(0)} ms`, 'p99');
    figure('alone', alone.toFixed(0), 'ms p99');
    assert.ok(p99(others) < OTHERS_SLOWER_MAX * alone, `p99 ${p99(others)} ms, alone ${alone} ms`);
    assert.ok(refused < 0.01, `${refused * 100} % of the others were refused`);
  }
});

test('reads and what is strong come before bulk, which still has its turns', async () => {
  const random = testSeed('urgency');
  const service = new SimulatedService(MODEL, () => random.next());
  const first = { ...ONE, urgency: 'first', agent: 'reader' } as const;
  const bulk = { ...ONE, urgency: 'bulk', agent: 'loader' } as const;
  const reads = { client: first, perSecond: 0.5 * CAPACITY };
  await service.arriveAll([reads], 5_000);
  await service.arriveAll([reads, { client: bulk, perSecond: 3 * CAPACITY }], 20_000);
  const of = (one: typeof first | typeof bulk) =>
    between(service.outcomes, 5_000, 19_000).filter(({ client }) => client === one);
  const refused = of(first).filter(isRefused).length / of(first).length;
  assert.ok(refused < 0.01, `${refused * 100} % of the reads were refused`);
  assert.ok(p99(of(first)) < 100, `reads: ${p99(of(first))} ms`);
  assert.ok(of(bulk).some(({ endedMs }) => endedMs !== undefined));
});

test('whoever is refused is told when the queue will have drained', () => {
  const gate = new AdmissionGate({
    ...{ concurrency_min: 1, concurrency_max: 1, queue_requests_max: 9 },
    ...{ queue_bytes_max: 10_000, queueWaitMs: 60_000 },
  });
  const ask = {
    ...ONE,
    agent: 'a',
    urgency: 'normal',
    bytes: 1_000,
    kind: new Baseline(),
  } as const;
  let permit = gate.enter(ask, 0) as Permit;
  // Ten a second.
  for (let nowMs = 100; nowMs <= 5_000; nowMs += 100) {
    gate.leave(permit, true, nowMs);
    permit = gate.enter(ask, nowMs) as Permit;
  }
  for (let i = 0; i < 9; i++) void gate.enter(ask, 5_000);
  const refused = gate.enter(ask, 5_000);
  assert.ok(!(refused instanceof Promise) && isRefusal(refused));
  const { limit, max, concurrency, retryAfterMs } = refused;
  assert.deepEqual(
    { limit, max, concurrency },
    { limit: 'queue_requests_max', max: 9, concurrency: 1 },
  );
  assert.ok(
    retryAfterMs > 1_000 && retryAfterMs < 1_200,
    `${retryAfterMs} ms for 11 at 10 a second`,
  );
});

test('bodies that wait are bounded in bytes, and nothing waits for longer than it may', async () => {
  const gate = new AdmissionGate({
    ...{ concurrency_min: 1, concurrency_max: 1, queue_requests_max: 9 },
    ...{ queue_bytes_max: 10_000, queueWaitMs: 500 },
  });
  const ask = {
    ...ONE,
    agent: 'a',
    urgency: 'normal',
    bytes: 6_000,
    kind: new Baseline(),
  } as const;
  gate.enter(ask, 0);
  const waiting = gate.enter(ask, 0);
  const refused = gate.enter(ask, 1);
  assert.ok(!(refused instanceof Promise) && isRefusal(refused));
  assert.equal(refused.limit, 'queue_bytes_max');
  assert.equal(gate.waitingBytes, 6_000);
  gate.sweep(400);
  assert.equal(gate.waiting, 1);
  gate.sweep(501);
  const late = await waiting;
  assert.ok(isRefusal(late));
  assert.equal(late.limit, 'queueWaitMs');
  assert.equal(gate.waiting, 0);
  assert.equal(gate.waitingBytes, 0);
});
