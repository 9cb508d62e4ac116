import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { figure, scaled, testSeed } from '@memplane/testkit';
import { detect } from './memberlist/detection.ts';
import { falseDeaths } from './memberlist/false-deaths.ts';
import { fastSettings, type Pattern, PLAIN_SWIM } from './memberlist/patterns.ts';

/**
 * hashicorp/memberlist, whose SWIM with Lifeguard is the one that others run in production, beside
 * packages/gossip: the same settings, the same patterns at the same time, over real sockets.
 * `make bench-crdt` has the figures with their spread.
 */
const { seed } = testSeed('memberlist');
const RUN_SECONDS = scaled('memberlist_seconds', { ci: 6, soak: 120 });
const settings = fastSettings();
const SIDES = ['gossip', 'memberlist'] as const;
/** A death that is spread counts once for each who hears of it, so a single one may be this many. */
const ONE_DEATH = 31;
/** Runs within which the planted fault has to show. */
const PLANTED_RUNS_MAX = 5;

const pattern = (changes: Partial<Pattern>): Pattern => ({
  name: 'ci',
  seed,
  runMs: RUN_SECONDS * 1_000,
  members: 32,
  starved: 8,
  starving: 'blocked',
  lossRate: 0,
  delayMaxMs: 0,
  ...changes,
});

describe('packages/gossip beside memberlist', () => {
  test('in quiet nobody is held for dead, and one that was killed is, by all', async () => {
    // Slower than the rest, for a machine that does other things too.
    const slower = fastSettings(2);
    const plan = { settings: slower, clusters: 2, members: 16, seed, limitMs: 30_000 };
    const both = await Promise.all(SIDES.map((side) => detect(side, plan)));
    for (const [i, { ms, wrong }] of both.entries()) {
      figure(`a dead member of 16 known to all, ${SIDES[i]}`, Math.round(Math.max(...ms)), 'ms');
      assert.equal(wrong, 0, `${SIDES[i]}: live members were held for dead`);
      // Nobody may say so sooner than a suspicion can end.
      assert.ok(Math.min(...ms) > slower.suspicionMult * slower.probeIntervalMs);
    }
  });

  test('starved members do not have healthy ones held for dead more often', async () => {
    const starved = pattern({});
    // The planted fault: suspicions that end before anyone can refute them, whatever one's health.
    const hasty = { ...settings, ...PLAIN_SWIM, suspicionMult: 1 };
    const [ours, theirs, planted] = await Promise.all([
      falseDeaths('gossip', starved, settings),
      falseDeaths('memberlist', starved, settings),
      falseDeaths('gossip', starved, hasty),
    ]);
    figure(`healthy members held for dead in ${RUN_SECONDS} s, gossip`, ours.all);
    figure(`healthy members held for dead in ${RUN_SECONDS} s, memberlist`, theirs.all);
    const bound = 1.5 * theirs.all + ONE_DEATH;
    assert.ok(ours.all <= bound, `${ours.all} of ours, ${theirs.all} of memberlist's`);
    let hastily = planted.all;
    // On a quick machine a run may have one such death alone.
    for (let runs = 1; runs < PLANTED_RUNS_MAX && hastily <= bound; runs++) {
      hastily += (await falseDeaths('gossip', starved, hasty)).all;
    }
    figure(`healthy members held for dead in ${RUN_SECONDS} s or more, planted fault`, hastily);
    assert.ok(hastily > bound, `the planted fault shows: ${hastily}`);
  });

  test('members whose processes are stopped do no harm either', async () => {
    const stopped = pattern({ members: 12, starved: 3, starving: 'stopped', runMs: 4_000 });
    const [ours, theirs] = await Promise.all(
      SIDES.map((side) => falseDeaths(side, stopped, settings)),
    );
    assert.ok(ours && theirs);
    assert.ok(ours.all <= 1.5 * theirs.all + ONE_DEATH, `${ours.all} against ${theirs.all}`);
  });
});
