import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { figure, scaled } from '@memplane/testkit';
import { OpIds } from './testing/op-ids.ts';
import {
  PLANTED_BUGS,
  PLANTED_CLAIM_BUGS,
  type PlantedBug,
  plantedBug,
} from './testing/planted-bugs.ts';
import { simulate } from './testing/simulate.ts';

const SEEDS = scaled('crdt_simulation_seeds', { ci: 2_000, soak: 100_000 });
const CLAIM_SEEDS = scaled('crdt_claim_seeds', { ci: 300, soak: 100_000 });
const BUG_SEEDS_MAX = 10_000;
const REPEATED = 20;
/** What was found once stays tried. */
const FOUND_ONCE = [1, 86, 206, 533];

describe('replicas over a bad network', () => {
  it(`agree with the fold of their operations, ${SEEDS} seeds`, () => {
    const begin = performance.now();
    const rounds: number[] = [];
    for (let seed = 0; seed < SEEDS; seed++) {
      const { violation, healingRounds } = simulate(seed);
      assert.equal(violation, undefined, `seed ${seed}: ${violation?.message}`);
      for (const took of healingRounds) rounds[took] = (rounds[took] ?? 0) + 1;
    }
    console.log(`# healings by the rounds that they took, from 0 up: ${rounds.join(', ')}`);
    figure('simulated runs', Math.round(SEEDS / ((performance.now() - begin) / 1000)), 'a second');
  });

  it('agree on seeds that were found once', () => {
    for (const seed of FOUND_ONCE) assert.equal(simulate(seed).violation, undefined, `${seed}`);
  });

  it('do the same for the same seed', () => {
    for (let seed = 0; seed < REPEATED; seed++) {
      const trace = simulate(seed).trace.join('\n');
      assert.equal(simulate(seed).trace.join('\n'), trace);
    }
  });
});

describe('operation ids, sent to any replicas any number of times', () => {
  it(`count once, ${CLAIM_SEEDS} seeds`, () => {
    const sums = { repetitions: 0, contested: 0, forgotten: 0 };
    for (let seed = 0; seed < CLAIM_SEEDS; seed++) {
      const opIds = new OpIds(undefined);
      const { violation } = simulate(seed, undefined, opIds);
      assert.equal(violation, undefined, `seed ${seed}: ${violation?.message}`);
      for (const what of ['repetitions', 'contested', 'forgotten'] as const) {
        sums[what] += opIds[what];
      }
    }
    for (const [what, sum] of Object.entries(sums)) {
      figure(`operation ids: ${what}`, sum);
      assert.ok(sum > 0, what);
    }
  });

  it('count once on seeds that were found once', () => {
    for (const seed of [46, 94, 940]) {
      assert.equal(simulate(seed, undefined, new OpIds(undefined)).violation, undefined, `${seed}`);
    }
  });

  for (const bug of Object.keys(PLANTED_CLAIM_BUGS) as PlantedBug[]) {
    const { what, harm, from = 0 } = plantedBug(bug);
    it(`but for a planted bug, ${bug}: ${what}`, () => {
      for (let seed = from; seed < BUG_SEEDS_MAX; seed++) {
        const { violation } = simulate(seed, bug, new OpIds(bug));
        if (violation?.check !== harm) continue;
        console.log(`# ${bug.padEnd(20)} | ${String(seed).padStart(5)} | ${harm}`);
        return;
      }
      assert.fail(`not within ${BUG_SEEDS_MAX} seeds`);
    });
  }
});

describe('planted bugs are found', () => {
  console.log(
    '# planted bug | first seed | the check that fails | seeds that another check failed',
  );
  for (const bug of Object.keys(PLANTED_BUGS) as PlantedBug[]) {
    const { what, harm, from = 0 } = plantedBug(bug);
    it(`${bug}: ${what}`, () => {
      let other = 0;
      for (let seed = from; seed < BUG_SEEDS_MAX; seed++) {
        const { violation } = simulate(seed, bug);
        if (violation?.check === harm) {
          const row = [bug.padEnd(20), String(seed).padStart(5), harm.padEnd(26), other];
          console.log(`# ${row.join(' | ')}`);
          return;
        }
        if (violation !== undefined) other++;
      }
      assert.fail(`not within ${BUG_SEEDS_MAX} seeds`);
    });
  }
});
