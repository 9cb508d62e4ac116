/**
 * Healthy members that are held for dead: packages/gossip against hashicorp/memberlist at equal
 * settings, and both against plain SWIM, which is the same code with Lifeguard's parts off. All
 * four go through one seeded pattern at the same time, in processes of their own, so that what
 * disturbs the machine disturbs them alike. tests/judges/memberlist says how members are starved.
 *
 *     node benchmarks/gossip-starved.ts [rounds] [seconds per run] [pattern …]
 *
 * Needs Go for memberlist.
 */
import type { GossipSettings } from '@memplane/gossip';
import { type FalseDeaths, falseDeaths } from '../tests/judges/memberlist/false-deaths.ts';
import type { Side } from '../tests/judges/memberlist/host.ts';
import { fastSettings, type Pattern, PLAIN_SWIM } from '../tests/judges/memberlist/patterns.ts';
import { type Measured, summarize } from './lib/rounds.ts';
import { atLeast, atMost, emitRow, SHORT } from './lib/row.ts';

const [rounds, seconds, ...names] = process.argv.slice(2);
const ROUNDS = Number(rounds ?? (SHORT ? 1 : 5));
const SECONDS = Number(seconds ?? (SHORT ? 6 : 24));
const SEED = 20_261_126;
const MEMBERS = 32;

interface Trial extends Omit<Pattern, 'seed' | 'runMs' | 'members'> {
  readonly what: string;
}

const TRIALS: readonly Trial[] = [
  {
    name: 'blocked',
    what: '8 of 32 members blocked',
    starved: 8,
    starving: 'blocked',
    lossRate: 0,
    delayMaxMs: 0,
  },
  {
    name: 'stopped',
    what: '8 of 32 members stopped',
    starved: 8,
    starving: 'stopped',
    lossRate: 0,
    delayMaxMs: 0,
  },
  {
    name: 'blocked-loss',
    what: '8 of 32 members blocked, 10 % loss',
    starved: 8,
    starving: 'blocked',
    lossRate: 0.1,
    delayMaxMs: 10,
  },
  {
    name: 'loss',
    what: 'none of 32 members starved, 30 % loss',
    starved: 0,
    starving: 'blocked',
    lossRate: 0.3,
    delayMaxMs: 10,
  },
];

const CONTENDERS: readonly { name: string; side: Side; changes: Partial<GossipSettings> }[] = [
  { name: 'packages/gossip', side: 'gossip', changes: {} },
  { name: 'memberlist', side: 'memberlist', changes: {} },
  { name: 'packages/gossip, plain SWIM', side: 'gossip', changes: PLAIN_SWIM },
  { name: 'memberlist, plain SWIM', side: 'memberlist', changes: PLAIN_SWIM },
];

/** What each contender did in each round. */
async function roundsOf({ what: _, ...trial }: Trial): Promise<FalseDeaths[][]> {
  const found: FalseDeaths[][] = CONTENDERS.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    const runMs = SECONDS * 1_000;
    const pattern = { ...trial, members: MEMBERS, seed: SEED + round, runMs };
    const runs = CONTENDERS.map(({ side, changes }) =>
      falseDeaths(side, pattern, { ...fastSettings(), ...changes }),
    );
    const deaths = await Promise.all(runs);
    for (const [i, one] of deaths.entries()) found[i]?.push(one);
    const counts = CONTENDERS.map(({ name }, i) => `${name} ${deaths[i]?.all}`).join('; ');
    console.log(`${trial.name}, seed ${pattern.seed}, held for dead: ${counts}`);
  }
  return found;
}

/** Round by round. None at all counts as one below the line: what has none is not infinitely good. */
function perOne(of: Measured, to: Measured): Measured {
  return summarize(
    '',
    of.values.map((value, round) => value / Math.max(1, to.values[round] ?? 0)),
  );
}

const table: Record<string, string | number>[] = [];
for (const trial of TRIALS.filter(({ name }) => names.length === 0 || names.includes(name))) {
  const found = await roundsOf(trial);
  const all = found.map((deaths) =>
    summarize(
      '',
      deaths.map((one) => one.all),
    ),
  );
  const [ours, theirs, ...plain] = all;
  if (!ours || !theirs || !plain[0] || !plain[1]) throw new Error('nothing was measured');
  for (const [i, { name }] of CONTENDERS.entries()) {
    table.push({
      pattern: trial.what,
      members: name,
      'held for dead': all[i]?.median ?? 0,
      'in each round': all[i]?.values.join(' ') ?? '',
      'by healthy ones': found[i]?.map(({ atHealthy }) => atHealthy).join(' ') ?? '',
    });
  }
  const counts = [ours, theirs, ...plain].map(({ values }) => values.join(', '));
  const [own, other, plainOwn, plainOther] = counts;
  const note = `in ${SECONDS} s: ours ${own}; memberlist ${other}; plain SWIM, our code ${plainOwn}, memberlist's ${plainOther}`;
  const what = `healthy members held for dead, ${trial.what}`;
  const seeds = `gossip ${SEED} to ${SEED + ROUNDS - 1}`;
  emitRow(what, atMost(1.5), perOne(ours, theirs), { against: 'memberlist', seeds, note });
  if (trial.starved === 0) continue;
  emitRow(
    `the same with plain SWIM, our code with Lifeguard's parts off`,
    atLeast(50),
    perOne(plain[0], ours),
    {
      against: 'our members as they are',
      note: trial.what,
    },
  );
}
console.log(`settings of all: ${JSON.stringify(fastSettings())}`);
console.log(`plain SWIM: ${JSON.stringify(PLAIN_SWIM)}`);
console.table(table);
