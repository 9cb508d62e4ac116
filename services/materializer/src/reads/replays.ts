import { hlcToMs } from '@memplane/clock';
import type { ReplayRequest } from '@memplane/contracts';
import { parseAsOf } from '../domain/as-of.ts';
import { ShardKeys } from '../domain/keys.ts';
import { projectionOf } from '../domain/replay.ts';
import type { ReplayWork } from '../drivers/replay-jobs.ts';
import {
  type ReplayPlan,
  type ReplayRange,
  ReplayRun,
  type ReplaySettings,
} from '../drivers/replay-run.ts';
import { historyExpired, latestCut, type ResolvedCut, resolveAsOf, tokenOf } from './cuts.ts';
import { liveViews } from './entity.ts';
import { inSnapshot, keysOf, type Plane, type Waiting } from './plane.ts';

type Bound = number | string;

/**
 * Settles what a replay is about: its cut, and for each partition the offsets and entities.
 * @throws MemplaneError what {@link resolveAsOf} throws, naming `body.from` or `body.to`
 */
export async function planReplay(
  plane: Plane,
  tenant: string,
  request: ReplayRequest,
  settings: ReplaySettings,
  wait: Waiting,
): Promise<ReplayWork> {
  const entities = request.entities === undefined ? undefined : [...new Set(request.entities)];
  const only = entities?.length === 1 ? entities[0] : undefined;
  const cut = await endOf(plane, request.to, { tenant, only, wait });
  const firsts = await beginningOf(plane, request.from, { tenant, only, wait });
  const ranges: ReplayRange[] = [];
  for (const { partition } of plane.shards.all()) {
    const mine = entities
      ?.filter((entity) => keysOf(plane.log.info, tenant, entity).partition === partition)
      .sort();
    if (mine?.length === 0) continue;
    const first = firsts(partition);
    const last = cut.offsets.get(partition) ?? -1;
    if (last >= 0) checkFirst(plane, partition, first);
    const keys = new ShardKeys(tenant, partition);
    const { historyStart } = plane.shards.at(partition).record;
    ranges.push({
      keys,
      historyStart,
      first,
      last,
      ...(mine === undefined ? {} : { entities: mine }),
    });
  }
  const plan: ReplayPlan = {
    projection: projectionOf(request.projection, liveViews),
    types: request.types === undefined ? undefined : new Set(request.types),
    ranges,
    timeMs: cut.timeMs,
  };
  return workOf(plane, plan, settings, tokenOf(plane, cut));
}

/** @throws MemplaneError `history_expired` */
function checkFirst(plane: Plane, partition: number, first: number): void {
  const { historyStart } = plane.shards.at(partition).record;
  if (first < historyStart) throw historyExpired(partition, historyStart, 'body.from');
}

function workOf(
  plane: Plane,
  plan: ReplayPlan,
  settings: ReplaySettings,
  token: string,
): ReplayWork {
  let run: ReplayRun | undefined;
  return {
    projection: plan.projection.name,
    token,
    counts: () => ({ read: run?.read ?? 0, folded: run?.folded ?? 0 }),
    run: (signal) =>
      inSnapshot(plane, (reader) => {
        for (const { keys, first, last } of plan.ranges) {
          if (last >= 0) checkFirst(plane, keys.partition, first);
        }
        run = new ReplayRun(plan, settings, reader, signal);
        return run.run();
      }),
  };
}

interface Scope {
  readonly tenant: string;
  readonly only: string | undefined;
  readonly wait: Waiting;
}

async function endOf(plane: Plane, to: Bound | undefined, scope: Scope): Promise<ResolvedCut> {
  const latest = await inSnapshot(plane, (reader) => latestCut(plane, reader));
  if (to === undefined) return latest;
  const offset = offsetOf(to, 'body.to');
  if (offset === undefined) return await resolved(plane, String(to), scope, 'body.to');
  const offsets = new Map(
    [...latest.offsets].map(([partition, applied]) => [partition, Math.min(offset, applied)]),
  );
  const newest = await inSnapshot(plane, (reader) =>
    Promise.all(
      plane.shards
        .all()
        .map(({ record, partition }) =>
          reader.stampAt(record, partition, offsets.get(partition) ?? -1),
        ),
    ),
  );
  return { offsets, timeMs: Math.max(0, ...newest.map(hlcToMs)) };
}

async function beginningOf(
  plane: Plane,
  from: Bound | undefined,
  scope: Scope,
): Promise<(partition: number) => number> {
  if (from === undefined) return () => 0;
  const offset = offsetOf(from, 'body.from');
  if (offset !== undefined) return () => offset;
  const asOf = parseAsOf(String(from), 'body.from');
  if (asOf.kind === 'time') {
    if (asOf.timeMs === 0) return () => 0;
    // What is before that time is everything up to a millisecond earlier.
    const before = `time:${new Date(asOf.timeMs - 1).toISOString()}`;
    const cut = await resolved(plane, before, scope, 'body.from');
    return (partition) => (cut.offsets.get(partition) ?? -1) + 1;
  }
  const cut = await resolved(plane, String(from), scope, 'body.from');
  const step = asOf.kind === 'token' ? 1 : 0;
  return (partition) => (cut.offsets.get(partition) ?? -1) + step;
}

/** An offset means that one of every partition. */
function offsetOf(bound: Bound, field: string): number | undefined {
  if (typeof bound === 'number') return bound;
  const asOf = parseAsOf(bound, field);
  return asOf.kind === 'offset' && asOf.epoch === undefined ? asOf.offset : undefined;
}

function resolved(plane: Plane, asOf: string, scope: Scope, field: string): Promise<ResolvedCut> {
  const { tenant, only, wait } = scope;
  return resolveAsOf(plane, { asOf, tenant, entity: only, wait, field });
}
