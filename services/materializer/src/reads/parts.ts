import type { ReplayJobs } from '../drivers/replay-jobs.ts';
import type { ReplaySettings } from '../drivers/replay-run.ts';
import { type ClearingContext, clearingPart } from './clearing.ts';
import { CUT_PARTS } from './cuts.ts';
import { DIGEST_PARTS } from './digest.ts';
import { ENTITY_PARTS } from './entity.ts';
import { ERASED_PARTS } from './erased.ts';
import { HISTORY_PARTS } from './history.ts';
import { LIVENESS_PARTS } from './liveness.ts';
import type { Part } from './part.ts';
import { QUERY_PARTS } from './query.ts';
import { replayPart, replayStatusPart } from './replays.ts';
import { shardsPart } from './shards.ts';
import { TRACE_PARTS } from './trace.ts';
import { USAGE_PARTS } from './usage.ts';

/** Everything that one instance may ask of another, by name. Queries are what the parts expect. */
export function allParts(
  owner: string,
  settings: ReplaySettings,
  replays: ReplayJobs,
  clearing: ClearingContext,
): ReadonlyMap<string, Part<never, unknown>> {
  const parts: readonly Part<never, unknown>[] = [
    ...CUT_PARTS,
    ...DIGEST_PARTS,
    ...ENTITY_PARTS,
    ...ERASED_PARTS,
    ...HISTORY_PARTS,
    ...LIVENESS_PARTS,
    ...QUERY_PARTS,
    ...TRACE_PARTS,
    ...USAGE_PARTS,
    clearingPart(clearing),
    replayPart(settings),
    replayStatusPart(replays),
    shardsPart(owner),
  ];
  return new Map(parts.map((part) => [part.name, part]));
}
