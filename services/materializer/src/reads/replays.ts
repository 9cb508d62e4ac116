import type { Replay, ReplayRequest } from '@memplane/contracts';
import { parseAsOf } from '../domain/as-of.ts';
import { projectionOf } from '../domain/replay.ts';
import type { ReplayJobs, ReplayWork } from '../drivers/replay-jobs.ts';
import {
  joinOutcomes,
  type RangeOutcome,
  type ReplayCounts,
  type ReplayPlan,
  type ReplayRange,
  ReplayRun,
  type ReplaySettings,
} from '../drivers/replay-run.ts';
import {
  historyExpired,
  historyStarts,
  latestCut,
  newestMs,
  type ResolvedCut,
  resolveAsOf,
  tokenOf,
  waitHere,
} from './cuts.ts';
import { liveViews } from './entity.ts';
import { allPartitions, gather, type Part } from './part.ts';
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
  const starts = await historyStarts(plane, wait);
  const ranges: ReplayRange[] = [];
  for (const partition of allPartitions(plane)) {
    const mine = entities
      ?.filter((entity) => keysOf(plane.log.info, tenant, entity).partition === partition)
      .sort();
    if (mine?.length === 0) continue;
    const first = firsts(partition);
    const last = cut.offsets.get(partition) ?? -1;
    const historyStart = starts.get(partition) ?? 0;
    const range = { partition, historyStart, first, last };
    checkFirst(range, historyStart);
    ranges.push({ ...range, ...(mine === undefined ? {} : { entities: mine }) });
  }
  const { projection, types } = request;
  const query = { tenant, projection, types, ranges, timeMs: cut.timeMs };
  return workOf(plane, query, settings, tokenOf(plane, cut));
}

/** @throws MemplaneError `history_expired` */
function checkFirst({ partition, first, last }: ReplayRange, historyStart: number): void {
  if (last < 0 || first >= historyStart) return;
  throw historyExpired(partition, historyStart, 'body.from');
}

interface ReplayQuery {
  readonly tenant: string;
  readonly projection: ReplayRequest['projection'];
  readonly types: readonly string[] | undefined;
  readonly ranges: readonly ReplayRange[];
  readonly timeMs: number;
}

function workOf(
  plane: Plane,
  query: ReplayQuery,
  settings: ReplaySettings,
  token: string,
): ReplayWork {
  const projection = projectionOf(query.projection, liveViews);
  const here: ReplayCounts = { read: 0, folded: 0 };
  let all: ReplayCounts | undefined;
  return {
    projection: projection.name,
    token,
    counts: () => all ?? { ...here },
    async run(signal) {
      const outcomes = await gather(plane, replayPart(settings, here), {
        partitions: query.ranges.map(({ partition }) => partition),
        query: (own) => ({
          ...query,
          ranges: query.ranges.filter(({ partition }) => own.includes(partition)),
        }),
        wait: { deadline: performance.now() + MOVING_WAIT_MS, signal },
      });
      const ranges = outcomes.flat();
      all = { read: 0, folded: 0 };
      for (const { read, folded } of ranges) {
        all.read += read;
        all.folded += folded;
      }
      return joinOutcomes(projection, ranges, settings);
    },
  };
}

/** A replay waits this long for partitions that change their owner. */
const MOVING_WAIT_MS = 30_000;
/** The longest that the part of one owner may take. */
const REPLAY_PART_TIMEOUT_MS = 10 * 60_000;

/** @param counts are counted on while it runs here */
export function replayPart(
  settings: ReplaySettings,
  counts?: ReplayCounts,
): Part<ReplayQuery, readonly RangeOutcome[]> {
  return {
    name: 'replay',
    timeoutMs: REPLAY_PART_TIMEOUT_MS,
    async run(plane, _partitions, { ranges, ...query }, wait) {
      const plan: ReplayPlan = {
        ...query,
        projection: projectionOf(query.projection, liveViews),
        types: query.types === undefined ? undefined : new Set(query.types),
      };
      await waitHere(plane, new Map(ranges.map(({ partition, last }) => [partition, last])), wait);
      return inSnapshot(plane, async (reader) => {
        const outcomes: RangeOutcome[] = [];
        const counted = counts ?? { read: 0, folded: 0 };
        for (const range of ranges) {
          checkFirst(range, plane.shards.at(range.partition).record.historyStart);
          const scope = { reader, signal: wait.signal, counts: counted };
          outcomes.push(await new ReplayRun(plan, settings, scope).run(range));
        }
        return outcomes;
      });
    },
  };
}

interface StatusQuery {
  readonly tenant: string;
  readonly id: string;
}

/** How a replay does that was begun on another instance. */
export function replayStatusPart(jobs: ReplayJobs): Part<StatusQuery, Replay> {
  return {
    name: 'replayStatus',
    run: (_plane, _partitions, { tenant, id }) => jobs.get(tenant, id),
  };
}

/**
 * How a replay does, on whichever instance it was begun.
 * @throws MemplaneError `not_found`
 */
export async function findReplay(
  plane: Plane,
  jobs: ReplayJobs,
  query: StatusQuery,
  wait: Waiting,
): Promise<Replay> {
  try {
    return jobs.get(query.tenant, query.id);
  } catch (error) {
    const { peers } = plane;
    if (peers === undefined) throw error;
    const call = {
      part: 'replayStatus',
      query,
      partitions: [],
      wait,
      timeoutMs: STATUS_TIMEOUT_MS,
    };
    const others = await peers.others();
    // Only one can have it: whatever the others say is no more than that they do not.
    return await Promise.any(
      others.map(async (instance) => (await peers.call(instance, call)) as Replay),
    ).catch(() => {
      throw error;
    });
  }
}

const STATUS_TIMEOUT_MS = 1_000;

interface Scope {
  readonly tenant: string;
  readonly only: string | undefined;
  readonly wait: Waiting;
}

async function endOf(plane: Plane, to: Bound | undefined, scope: Scope): Promise<ResolvedCut> {
  const latest = await latestCut(plane, scope.wait);
  if (to === undefined) return latest;
  const offset = offsetOf(to, 'body.to');
  if (offset === undefined) return await resolved(plane, String(to), scope, 'body.to');
  const offsets = new Map(
    [...latest.offsets].map(([partition, applied]) => [partition, Math.min(offset, applied)]),
  );
  return { offsets, timeMs: await newestMs(plane, offsets, scope.wait) };
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
