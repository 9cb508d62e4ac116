import { setTimeout as sleep } from 'node:timers/promises';
import type { GossipSettings } from '@memplane/gossip';
import { Clusters } from './cluster.ts';
import type { Host, Side } from './host.ts';
import { idsOf, type Pattern, starvedOf, stopsOf } from './patterns.ts';

const CONVERGE_MS = 30_000;

export interface FalseDeaths {
  /** How often a member held a healthy one for dead, as Lifeguard counts false positives. */
  readonly all: number;
  /** Those of them in the eyes of healthy members. */
  readonly atHealthy: number;
}

/**
 * Lets members go through a pattern. A starved member is a process of its own, and starving it is
 * SIGSTOP and SIGCONT, so on either side it neither reads nor sends nor runs a timer, while the
 * kernel keeps its sockets. All healthy members share one process that always runs.
 */
export async function falseDeaths(
  side: Side,
  pattern: Pattern,
  settings: Partial<GossipSettings>,
): Promise<FalseDeaths> {
  const { lossRate, delayMaxMs, seed, runMs } = pattern;
  await using clusters = new Clusters(side, { settings, lossRate, delayMaxMs, seed });
  const starved = new Map<string, Host>();
  const healthyHost = await clusters.addHost();
  const isStopped = pattern.starving === 'stopped';
  for (const id of starvedOf(pattern)) {
    starved.set(id, isStopped ? await clusters.addHost() : healthyHost);
  }
  const ids = idsOf(pattern);
  const join: string[] = [];
  for (const id of ids) {
    const address = await (starved.get(id) ?? healthyHost).start(id, 'judged', join);
    if (join.length === 0) join.push(address);
  }
  // The first one knows all; gossip alone may leave one out until lists are exchanged again.
  for (const id of ids.slice(1)) await (starved.get(id) ?? healthyHost).join(id, join);
  await clusters.converge(ids, ids.length - 1, CONVERGE_MS);

  for (const host of new Set([healthyHost, ...starved.values()])) host.begin();
  const startMs = performance.now();
  const sinceMs = Date.now();
  const timers = stopsOf(pattern).flatMap(({ member, atMs, untilMs }) => {
    const host = starved.get(member);
    const starve = () => (isStopped ? host?.stop() : host?.starve(member));
    const feed = () => (isStopped ? host?.continue() : host?.feed(member));
    const inMs = (ms: number) => startMs + ms - performance.now();
    return [setTimeout(starve, inMs(atMs)), setTimeout(feed, inMs(untilMs))];
  });
  try {
    await sleep(runMs);
  } finally {
    for (const timer of timers) clearTimeout(timer);
  }
  const wrong = clusters.deaths.filter(({ about, atMs }) => !starved.has(about) && atMs >= sinceMs);
  const atHealthy = wrong.filter(({ observer }) => !starved.has(observer));
  return { all: wrong.length, atHealthy: atHealthy.length };
}
