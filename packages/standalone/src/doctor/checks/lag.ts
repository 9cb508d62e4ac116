import { pause } from '@memplane/runtime';
import type { Check, Finding } from '../check.ts';
import type { PlaneState } from '../plane-state.ts';

/** What is behind now and no less behind then does not catch up. */
const LOOK_AGAIN_MS = 500;

/** Views and index keep up with the log, and are of one log. */
export const lagCheck: Check = {
  name: 'lag',
  async run(plane) {
    const first = await lagsOf(plane);
    if (first.size === 0) return await indexLog(plane);
    await pause(LOOK_AGAIN_MS, new AbortController().signal);
    const later = await lagsOf(plane);
    const found: Finding[] = [];
    for (const [key, lag] of later) {
      const before = first.get(key);
      if (before === undefined || lag.behind < before.behind) continue;
      found.push({
        code: lag.code,
        severity: 'warning',
        about: key,
        detail: `${lag.behind} events behind, and not catching up`,
        advice:
          'See the readiness of the service and the load of the machine; raise its resources, or ' +
          'let the writers wait.',
      });
    }
    return [...found, ...(await indexLog(plane))];
  },
};

interface Lag {
  readonly code: string;
  readonly behind: number;
}

async function lagsOf(plane: PlaneState): Promise<Map<string, Lag>> {
  const { lag_events_max } = plane.settings;
  const { shards } = await plane.freshShards();
  const { generations } = await plane.freshIndex();
  const lags = new Map<string, Lag>();
  const live = generations.find(({ state }) => state === 'live');
  for (const { partition, lag, appliedOffset } of shards) {
    if (lag > lag_events_max)
      lags.set(`shard ${partition}`, { code: 'shard_lagging', behind: lag });
    const applied = live?.partitions.find((it) => it.partition === partition)?.applied ?? -1;
    const behind = appliedOffset - applied;
    if (behind > lag_events_max) {
      lags.set(`index of partition ${partition}`, { code: 'index_lagging', behind });
    }
  }
  return lags;
}

async function indexLog(plane: PlaneState): Promise<Finding[]> {
  const { logId } = await plane.shards();
  const { logId: indexed } = await plane.index();
  if (indexed === undefined || indexed === logId) return [];
  return [
    {
      code: 'index_other_log',
      severity: 'error',
      about: 'vector-index',
      detail: `the index follows the log ${indexed}, the views ${logId}`,
      advice: 'Start vector-index again: it builds its index anew from the log of the views.',
    },
  ];
}
