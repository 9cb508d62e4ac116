import { type GossipSettings, gossipSettings } from '@memplane/gossip';
import { seeded } from '@memplane/testkit';

/**
 * memberlist's LAN defaults, which are ours too, by default five times as fast: a run of 24 s shows what two
 * minutes would. What has no time in it stays as it is, and so do `stallMs` and `streamTimeoutMs`,
 * which are about the machine that members run on.
 */
const FASTER = 5;

export function fastSettings(faster = FASTER): GossipSettings {
  const lan = gossipSettings();
  return gossipSettings({
    probeIntervalMs: lan.probeIntervalMs / faster,
    probeTimeoutMs: lan.probeTimeoutMs / faster,
    gossipIntervalMs: lan.gossipIntervalMs / faster,
    gossipToTheDeadMs: lan.gossipToTheDeadMs / faster,
    pushPullIntervalMs: lan.pushPullIntervalMs / faster,
    reconnectIntervalMs: lan.reconnectIntervalMs / faster,
    // memberlist's scores end below its multiplier of 8.
    awarenessMax: 7,
  });
}

/** SWIM without what Lifeguard adds to it, and without our own look at late timers. */
export const PLAIN_SWIM = {
  awarenessMax: 0,
  suspicionMaxTimeoutMult: 1,
  stallMs: 24 * 3_600_000,
} as const;

/**
 * How a member is starved. `stopped`: its process is, by SIGSTOP and SIGCONT, so it neither reads
 * nor sends nor runs a timer. `blocked`: its timers run, but datagrams wait in both directions and
 * streams fail, which is how Lifeguard's authors starve a member (§V-A).
 */
export type Starving = 'stopped' | 'blocked';

/** What the members of a run go through. The same seed gives the same pattern to all sides. */
export interface Pattern {
  readonly name: string;
  readonly seed: number;
  readonly runMs: number;
  readonly members: number;
  /** How many of them are starved: the last ones. */
  readonly starved: number;
  readonly starving: Starving;
  readonly lossRate: number;
  readonly delayMaxMs: number;
}

/** One time in which a member is starved, in milliseconds from the start of the run. */
export interface Stop {
  readonly member: string;
  readonly atMs: number;
  readonly untilMs: number;
}

/** Lifeguard's own ranges, 0.5 s to 32 s and up to a second, as much faster as the settings. */
const STARVED_MS = [100, 6_400] as const;
const FED_MS = [1, 200] as const;

export const idsOf = ({ members }: Pattern): string[] =>
  Array.from({ length: members }, (_, i) => `m${String(i).padStart(2, '0')}`);

export const starvedOf = (pattern: Pattern): string[] =>
  idsOf(pattern).slice(pattern.members - pattern.starved);

/** When which member is starved, in the order of time. */
export function stopsOf(pattern: Pattern): Stop[] {
  const stops = starvedOf(pattern).flatMap((member, i) => {
    const random = seeded(pattern.seed).fork(i);
    const own: Stop[] = [];
    for (let atMs = random.int(0, STARVED_MS[1]); atMs < pattern.runMs; ) {
      const untilMs = Math.min(pattern.runMs, atMs + random.int(...STARVED_MS));
      own.push({ member, atMs, untilMs });
      atMs = untilMs + random.int(...FED_MS);
    }
    return own;
  });
  return stops.sort((a, b) => a.atMs - b.atMs);
}
