import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { figure, percentile, type Seeded, scaled, testSeed } from '@memplane/testkit';
import { ALERT_MS, Fleet, SYNC_MS } from './fleet.ts';
import { Load } from './load.ts';
import { Memory } from './memory.ts';
import { whyNoNamespaces } from './namespace.ts';
import { checkEqual, cutRound, EQUAL_MS, newFigures, type RoundFigures } from './round.ts';

const ROUNDS = scaled('replica_rounds', { ci: 3, soak: 100 });
const ROUNDS_ON_REDIS = scaled('replica_redis_rounds', { ci: 10, soak: 100 });
const QUIET_MS = scaled('replica_quiet_ms', { ci: 8_000, soak: 3_600_000 });
const QUIET_PART_MS = 60_000;
/** Of all alerts, and of all rounds, on a machine that has other things to do; one is not too many. */
const LATE_PART_MAX = 0.1;
const IDS = ['a', 'b', 'c', 'd', 'e'];
const skip = (await whyNoNamespaces()) ?? false;

describe('five replicas with a network of their own', { skip }, () => {
  it(`are equal after each of ${ROUNDS} cuts, and lose nothing`, async () => {
    await using fleet = await Fleet.start(IDS);
    await rounds(ROUNDS, testSeed('replicas'), fleet);
  });

  it(`with a Redis each are equal after each of ${ROUNDS_ON_REDIS} cuts, and lose tails only`, async () => {
    await using fleet = await Fleet.start(IDS, { onRedis: true });
    await rounds(ROUNDS_ON_REDIS, testSeed('replicas on redis'), fleet);
  });

  it(`raise no alert under load for ${QUIET_MS} ms without a cut`, async () => {
    const random = testSeed('quiet replicas');
    await using fleet = await Fleet.start(IDS);
    const memory = new Memory();
    const load = new Load(fleet, memory);
    const figures = newFigures();
    const endMs = performance.now() + QUIET_MS;
    for (let part = 1; performance.now() < endMs; part++) {
      load.start(random.fork(part), fleet.ids);
      await sleep(Math.min(QUIET_PART_MS, endMs - performance.now()));
      await load.stop();
      await checkEqual({ fleet, load, memory, figures });
      for (const replica of fleet.all) assert.deepEqual(await replica.alerts(), []);
    }
    checkLate('times equal', figures.equal, EQUAL_MS.inFolders);
    assert.equal(load.counts.unknown, 0);
    figure('a quiet time: commands, none of them without an answer', load.counts.done);
  });
});

async function rounds(count: number, random: Seeded, fleet: Fleet): Promise<void> {
  const memory = new Memory();
  const load = new Load(fleet, memory);
  const figures = newFigures();
  const context = { fleet, load, memory, random, figures };
  try {
    for (let round = 1; round <= count; round++) await cutRound(round, context);
  } catch (error) {
    await load.stop();
    console.log(fleet.output.slice(-20_000));
    throw error;
  }
  tell(figures, load);
  const { equal } = figures;
  checkLate('times equal', equal, fleet.onRedis ? EQUAL_MS.onRedis : EQUAL_MS.inFolders);
  if (!fleet.onRedis) return;
  const { length } = figures.lostBytes;
  const bytes = figures.lostBytes.reduce((sum, each) => sum + each, 0);
  figure('tails of an AOF that were cut', `${length}, ${bytes} bytes`);
  figure('acknowledged in what was cut, at the most', load.counts.doubted);
}

function tell(figures: RoundFigures, load: Load): void {
  const row = (values: readonly number[]) =>
    [0.5, 0.99, 1].map((p) => Math.round(percentile(values, p))).join(' / ');
  const unit = 'ms (p50 / p99 / longest)';
  figure('a cut is told', row(figures.alerted), unit);
  checkLate('cuts told', figures.alerted, ALERT_MS);
  figure('healed, until all see all', row(figures.seen), unit);
  figure('all see all, until all are equal', row(figures.equal), unit);
  figure('all are equal, until no alert stands', row(figures.cleared), unit);
  const quick = figures.equal.filter((ms) => ms <= 3 * SYNC_MS).length;
  const of = figures.equal.length;
  figure('equal within three rounds of replication, asking included', `${quick} of ${of}`);
  const { done, unknown, duplicates } = load.counts;
  figure('commands', `${done} / ${unknown} / ${duplicates}`, '(done / unknown / counted before)');
}

function checkLate(what: string, all: readonly number[], limitMs: number): void {
  const late = all.filter((ms) => ms > limitMs).length;
  figure(`${what} later than after ${limitMs} ms`, `${late} of ${all.length}`);
  assert.ok(late <= Math.max(1, LATE_PART_MAX * all.length), `${what} late: ${late}`);
}
