/**
 * More than the plane can do: it goes on doing as much, in time, says no to the rest, and is itself
 * again soon after. Plane and load have a core each. `make soak` alone runs it: it needs both cores for
 * itself.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { figure, percentile, processMemory, scaled } from '@memplane/testkit';
import type { Stream, StreamResult } from './overload-load.ts';
import { CLIENTS, EVENTS, OverloadWorld } from './overload-world.ts';

const OVERLOAD_MS = scaled('overload_ms', { ci: 10_000, soak: 300_000 });
const NORMAL_MS = Math.min(OVERLOAD_MS, 20_000);
const WARM_UP_MS = Math.min(OVERLOAD_MS, 15_000);
/** Until the limit is found and a queue is known to stand (`MEMPLANE_QUEUE_WAIT_MS`). */
const SETTLING_MS = 3_000;
const RECOVERY_MS = 10_000;
const RSS_GROWTH_BYTES_MAX = 512 * 2 ** 20;
/** So many closed loops keep a core busy, and no queue stands. */
const PEAK_CLIENTS = 128;
const WITHOUT = { MEMPLANE_ADMISSION: 'false' };

type Phase = StreamResult & { readonly othersPart: number };

/**
 * Accepted ones for a second in which the plane had its core: what was answered in time to count,
 * by the time that others left. Where it leaves its core idle, that counts against it.
 */
function rateOf({ acceptedAtMs, acceptedTookMs, elapsedMs, othersPart }: Phase): number {
  const inTime = acceptedAtMs.filter((atMs, i) => atMs + (acceptedTookMs[i] ?? 0) <= elapsedMs);
  return (inTime.length * 1_000) / (elapsedMs * (1 - othersPart));
}

const refusedOf = ({ answers }: StreamResult) => answers[429] ?? 0;
const sentOf = ({ offered, unsent }: StreamResult) => offered - unsent;

/** @param fromMs of those accepted that were due later */
function p99Of(results: readonly StreamResult[], fromMs: number): number {
  const times = results.flatMap(({ acceptedAtMs, acceptedTookMs }) =>
    Array.from(acceptedTookMs).filter((_, i) => (acceptedAtMs[i] ?? 0) >= fromMs),
  );
  return percentile(times, 0.99);
}

/** How 1,000 clients ask. */
type Habit = Pick<Stream, 'events_per_request' | 'obeys'>;

/** They come again at once, so that what is offered stays what it is. */
const RUDE: Habit = { events_per_request: EVENTS, obeys: false };
/** A refusal costs a quarter of such an append: it takes clients that do as they are told. */
const OBEYING: Habit = { events_per_request: 1, obeys: true };

/** What the plane does at its best, and how long an append usually takes. */
async function normalOf(world: OverloadWorld, habit: Habit) {
  const atBest = { clients: PEAK_CLIENTS, events_per_request: habit.events_per_request };
  await world.one(atBest, WARM_UP_MS);
  const peak = rateOf(await world.one(atBest, NORMAL_MS));
  const usual = await world.one({ ...habit, requests_per_second: peak / 2 }, NORMAL_MS);
  assert.equal(refusedOf(usual), 0, 'at half of its peak it refuses nothing');
  const p99Ms = p99Of([usual], 0);
  figure('peak', peak.toFixed(0), `requests a second, each of ${habit.events_per_request}`);
  figure('p99 at half of it', p99Ms.toFixed(0), 'ms');
  return { ...habit, peak, p99Ms };
}

type Normal = Awaited<ReturnType<typeof normalOf>>;

/** Demand of so many times the peak. @returns parts of peak, and times of the usual p99 */
async function overload(
  world: OverloadWorld,
  { peak, p99Ms: usualMs, ...habit }: Normal,
  times: number,
): Promise<{ readonly goodput: number; readonly p99: number }> {
  const result = await world.one({ ...habit, requests_per_second: times * peak }, OVERLOAD_MS);
  const [goodput, p99Ms] = [rateOf(result) / peak, p99Of([result], SETTLING_MS)];
  const sent = (sentOf(result) * 1_000) / result.elapsedMs / peak;
  const others = Math.round(result.othersPart * 100);
  figure(`at ${times} times: of the core others had`, others, '%');
  figure(`at ${times} times: sent`, sent.toFixed(2), 'of peak');
  figure(`at ${times} times: goodput`, goodput.toFixed(2), 'of peak');
  figure(`at ${times} times: p99 of the accepted`, p99Ms.toFixed(0), 'ms');
  return { goodput, p99: p99Ms / usualMs };
}

/** @returns after how long nothing is refused any more and all is about as quick as before, in ms */
async function recover(world: OverloadWorld, { peak, p99Ms, ...habit }: Normal): Promise<number> {
  const started = performance.now();
  for (;;) {
    const sinceMs = performance.now() - started;
    const result = await world.one({ ...habit, requests_per_second: peak / 2 }, 1_000);
    const isNormal = refusedOf(result) === 0 && p99Of([result], 0) <= 2 * p99Ms;
    if (isNormal || sinceMs > RECOVERY_MS) return sinceMs;
  }
}

async function holdsAtTwoAndFiveTimes(habit: Habit): Promise<void> {
  await using world = await OverloadWorld.start({});
  const normal = await normalOf(world, habit);
  const before = (await processMemory(world.plane.pid)).rss;
  const twice = await overload(world, normal, 2);
  const five = await overload(world, normal, 5);
  const grown = (await processMemory(world.plane.pid)).rss - before;
  const recoveryMs = await recover(world, normal);
  figure('normal again after', recoveryMs.toFixed(0), 'ms');
  figure('memory grown by', Math.round(grown / 2 ** 20), 'MiB');
  figure('acknowledged, all in the log', await world.assertKept(), 'events');
  assert.ok(twice.goodput >= 0.9, `goodput at 2 times: ${twice.goodput} of peak`);
  assert.ok(five.goodput >= 0.7, `goodput at 5 times: ${five.goodput} of peak`);
  assert.ok(twice.p99 <= 10, `p99 at 2 times: ${twice.p99} times the usual`);
  assert.ok(five.p99 <= 10, `p99 at 5 times: ${five.p99} times the usual`);
  assert.ok(recoveryMs <= RECOVERY_MS, `not normal after ${recoveryMs} ms`);
  assert.ok(grown <= RSS_GROWTH_BYTES_MAX, `grew by ${grown} bytes`);
}

test('at 2 and 5 times of its peak it does as much, in time, loses nothing and recovers', () =>
  holdsAtTwoAndFiveTimes(RUDE));

test('so it does with single events, of clients that wait as they are told', () =>
  holdsAtTwoAndFiveTimes(OBEYING));

test('the judge finds a plane without the limiter', async () => {
  await using planted = await OverloadWorld.start(WITHOUT);
  const unlimited = await overload(planted, await normalOf(planted, RUDE), 5);
  assert.ok(unlimited.p99 > 10, `found without the limiter: p99 ${unlimited.p99} times the usual`);
});

const QUIET = Array.from({ length: 9 }, (_, i) => `quiet-${i}`);
const SHARES = QUIET.length + 1;
const stream = (name: string, clients: number, requests_per_second: number): Stream => ({
  ...{ name, token: name, clients, events_per_request: EVENTS, requests_per_second },
});

/** How nine tenants at half of their shares fare, and what one more at ten times of its makes of it. */
async function besideGreedy(env: Readonly<Record<string, string>>) {
  await using world = await OverloadWorld.start(env, [...QUIET, 'greedy']);
  const asGreedy = { name: 'greedy', token: 'greedy', clients: PEAK_CLIENTS };
  await world.one(asGreedy, WARM_UP_MS);
  const share = rateOf(await world.one(asGreedy, NORMAL_MS)) / SHARES;
  const quiet = QUIET.map((name) =>
    stream(name, Math.floor(CLIENTS / 2 / QUIET.length), share / 2),
  );
  const alone = p99Of((await world.run(quiet, NORMAL_MS)).results, 0);
  const greedy = stream('greedy', CLIENTS / 2, 10 * share);
  const { results } = await world.run([...quiet, greedy], OVERLOAD_MS);
  const others = results.slice(0, QUIET.length);
  const sum = (of: (one: StreamResult) => number) =>
    others.reduce((total, one) => total + of(one), 0);
  const beside = p99Of(others, SETTLING_MS);
  const refused = sum(refusedOf) / sum(sentOf);
  figure('p99 of the others, alone and beside', `${alone.toFixed(0)}, ${beside.toFixed(0)}`, 'ms');
  figure('of theirs refused', (refused * 100).toFixed(2), '%');
  return { times: beside / alone, refused };
}

test('a tenant at 10 times of its share does not slow the others', async () => {
  const { times, refused } = await besideGreedy({});
  assert.ok(times <= 2, `p99 of the others: ${times} times`);
  assert.ok(refused <= 0.01, `of the others were refused: ${refused}`);
});

test('the judge finds that without the limiter it does', async () => {
  const { times } = await besideGreedy(WITHOUT);
  assert.ok(times > 2, `p99 of the others: ${times} times`);
});
