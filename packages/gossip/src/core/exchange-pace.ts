import type { GossipSettings } from '../settings.ts';

type Pace = Pick<GossipSettings, 'pushPullIntervalMs' | 'wholeListsMembers'>;

/** How often a member turns to another one: rarer with each doubling of the members. */
export function exchangeIntervalMs(pace: Pace, liveMembers: number): number {
  return pace.pushPullIntervalMs * steps(pace, liveMembers);
}

/**
 * How likely an exchange is one of whole lists, the others being comparisons of digests. It falls
 * as the lists grow, so that over time a member sends as many bytes of them at any size.
 */
export function wholeListsChance(pace: Pace, liveMembers: number): number {
  return Math.min(1, (pace.wholeListsMembers * steps(pace, liveMembers)) / liveMembers);
}

/** As memberlist's pushPullScale. */
function steps({ wholeListsMembers }: Pace, liveMembers: number): number {
  return Math.max(1, Math.ceil(Math.log2(liveMembers / wholeListsMembers)) + 1);
}
