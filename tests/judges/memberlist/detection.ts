import type { GossipSettings } from '@memplane/gossip';
import { Clusters, until } from './cluster.ts';
import type { Side } from './host.ts';

export interface Detection {
  readonly settings: Partial<GossipSettings>;
  /** Clusters that run side by side in one process. */
  readonly clusters: number;
  /** Members of each. */
  readonly members: number;
  readonly seed: number;
  readonly limitMs: number;
}

const CONVERGE_MS = 60_000;

export interface Detected {
  /** By cluster: after how many milliseconds all others knew that the killed one is dead. */
  readonly ms: readonly number[];
  /** How often one that lived was held for dead, as on a machine that is too busy. */
  readonly wrong: number;
}

/** Kills one member of each cluster, and waits until all others know. */
export async function detect(side: Side, plan: Detection): Promise<Detected> {
  const { settings, members, seed, limitMs } = plan;
  await using clusters = new Clusters(side, { settings, lossRate: 0, delayMaxMs: 0, seed });
  const host = await clusters.addHost();
  const names = Array.from({ length: plan.clusters }, (_, i) => `c${i}`);
  const idOf = (name: string, i: number) => `${name}-m${i}`;
  const all: string[] = [];
  const first = new Map<string, string[]>();
  for (let i = 0; i < members; i++) {
    for (const name of names) {
      const address = await host.start(idOf(name, i), name, first.get(name) ?? []);
      if (!first.has(name)) first.set(name, [address]);
      all.push(idOf(name, i));
    }
  }
  // The first one knows all; gossip alone may leave one out until lists are exchanged again.
  for (let i = 1; i < members; i++) {
    for (const name of names) await host.join(idOf(name, i), first.get(name) ?? []);
  }
  await clusters.converge(all, members - 1, CONVERGE_MS);
  const killed = new Set<string>();
  const kills = names.map(async (name) => {
    const victim = idOf(name, members - 1);
    killed.add(victim);
    const killedMs = await host.kill(victim);
    // Once each: one that was held for dead before comes again.
    const seen = () =>
      clusters.deaths.filter(({ about, atMs }) => about === victim && atMs >= killedMs);
    const told = () => `${side}: ${seen().length} of ${members - 1} know that ${victim} is dead`;
    await until(() => seen().length >= members - 1, limitMs, told);
    return Math.max(...seen().map(({ atMs }) => atMs)) - killedMs;
  });
  const ms = await Promise.all(kills);
  return { ms, wrong: clusters.deaths.filter(({ about }) => !killed.has(about)).length };
}
