/**
 * How long it takes until all others know that one of 32 members is dead: packages/gossip against
 * hashicorp/memberlist, at the LAN settings of both. In each round 12 clusters of each side run in
 * one process and lose one member each.
 *
 *     node benchmarks/gossip-detection.ts [rounds] [clusters]
 *
 * Needs Go for memberlist.
 */
import { gossipSettings } from '@memplane/gossip';
import { percentile } from '@memplane/testkit';
import { detect } from '../tests/judges/memberlist/detection.ts';
import type { Side } from '../tests/judges/memberlist/host.ts';
import { interleave, ratio, summarize } from './lib/rounds.ts';
import { atMost, emitRow, SHORT } from './lib/row.ts';

const ROUNDS = Number(process.argv[2] ?? (SHORT ? 1 : 5));
const CLUSTERS = Number(process.argv[3] ?? (SHORT ? 2 : 12));
const SEED = 20_261_126;
const LIMIT_MS = 60_000;

// memberlist's scores end below its multiplier of 8.
const settings = gossipSettings({ awarenessMax: 7 });
const found: Record<Side, number[][]> = { gossip: [], memberlist: [] };

/** One round of one side: the median of its clusters, in milliseconds. */
async function run(side: Side): Promise<number> {
  const plan = { settings, clusters: CLUSTERS, members: 32, seed: SEED, limitMs: LIMIT_MS };
  const { ms, wrong } = await detect(side, plan);
  if (wrong > 0) console.log(`${side}: live members were held for dead ${wrong} times`);
  found[side].push([...ms]);
  console.log(`${side}: ${ms.map(Math.round).join(' ')} ms`);
  return summarize('', ms).median;
}

const [ours, theirs] = await interleave(
  [
    { name: 'packages/gossip', run: () => run('gossip') },
    { name: 'memberlist', run: () => run('memberlist') },
  ],
  ROUNDS,
);
if (!ours || !theirs) throw new Error('nothing was measured');
console.log(`settings of both: ${JSON.stringify(settings)}`);
const p99 = (side: Side) => percentile(found[side].slice(1).flat(), 0.99);
console.table(
  (['gossip', 'memberlist'] as const).map((side) => ({
    side,
    'known to all, ms (medians of the rounds)': (side === 'gossip' ? ours : theirs).values
      .map(Math.round)
      .join(' '),
    'p99 of all, ms': Math.round(p99(side)),
    deaths: CLUSTERS * ROUNDS,
  })),
);
const shown = `${Math.round(ours.median)} ms, memberlist ${Math.round(theirs.median)} ms; p99 of ${CLUSTERS * ROUNDS}: ${Math.round(p99('gossip'))} ms, memberlist ${Math.round(p99('memberlist'))} ms`;
emitRow('a dead member known to all, 32 members', atMost(1), ratio('', ours, theirs), {
  against: 'memberlist at the same settings',
  seeds: `gossip ${SEED}`,
  note: shown,
});
const worst = summarize(
  '',
  found.gossip.slice(1).map((ms) => percentile(ms, 0.99) / 1_000),
);
emitRow('a dead member known to all, 32 members, p99', atMost(10, 's'), worst);
