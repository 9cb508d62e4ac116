import { hlcToMs, lastHlcOf } from '@memplane/clock';
import {
  type Cut,
  cutInEpoch,
  decodeToken,
  encodeToken,
  joinCuts,
  LIMITS,
  MemplaneError,
} from '@memplane/contracts';
import type { Context as TraceContext } from '@opentelemetry/api';
import { type AsOf, parseAsOf } from '../domain/as-of.ts';
import { decodeId } from '../domain/rows.ts';
import type { ViewReader } from '../drivers/view-reader.ts';
import type { Shard } from '../shard.ts';
import { allPartitions, askOwner, gather, type Part } from './part.ts';
import { inSnapshot, keysOf, type Plane, type Waiting } from './plane.ts';

/** The last time that can be written as a date. */
const TIME_MS_MAX = 8.64e15;

/** A cut with all that an answer tells of it. */
export interface ResolvedCut {
  /** Complete: a partition that is not named is empty. */
  readonly offsets: ReadonlyMap<number, number>;
  /** When `ttl` is judged, ms since 1970. */
  readonly timeMs: number;
}

export function waiting(
  waitMs: number | undefined,
  signal: AbortSignal,
  trace?: TraceContext,
): Waiting {
  return { deadline: performance.now() + (waitMs ?? LIMITS.wait_ms_default), signal, trace };
}

export function tokenOf(plane: Plane, cut: ResolvedCut): string {
  const { logId, epoch, partitions } = plane.log.info;
  return encodeToken({ logId, epoch, partitions, offsets: cut.offsets, timeMs: cut.timeMs });
}

/** Everything that is applied in a snapshot that has all partitions, at a time. */
export async function latestIn(plane: Plane, reader: ViewReader): Promise<ResolvedCut> {
  const records = await reader.shards(plane.shards.partitions);
  const offsets = new Map(records.map((record, p) => [p, record?.applied ?? -1]));
  return { offsets, timeMs: plane.now() };
}

/** What the owners of all partitions have applied, at a time. */
export async function latestCut(plane: Plane, wait: Waiting): Promise<ResolvedCut> {
  const offsets = await positions(plane, appliedPart, allPartitions(plane), () => null, wait);
  return { offsets, timeMs: plane.now() };
}

/** An offset for each partition; JSON has no maps. */
export type Positions = readonly (readonly [partition: number, offset: number])[];

/** A part that answers with an offset for each of its partitions. */
async function positions<Query>(
  plane: Plane,
  part: Part<Query, Positions>,
  partitions: readonly number[],
  query: (partitions: readonly number[]) => Query,
  wait: Waiting,
): Promise<ReadonlyMap<number, number>> {
  const answers = await gather(plane, part, { partitions, query, wait });
  return new Map(answers.flat().sort(([a], [b]) => a - b));
}

/** The first offset of each partition whose history can be read. */
export function historyStarts(plane: Plane, wait: Waiting): Promise<ReadonlyMap<number, number>> {
  return positions(plane, historyStartPart, allPartitions(plane), () => null, wait);
}

const historyStartPart: Part<null, Positions> = {
  name: 'historyStart',
  run: ({ shards }, partitions) => partitions.map((p) => [p, shards.at(p).record.historyStart]),
};

export const appliedPart: Part<null, Positions> = {
  name: 'applied',
  run: ({ shards }, partitions) => partitions.map((p) => [p, shards.at(p).applied]),
};

/**
 * A cut that was given, of this log or of an earlier epoch of it, as one of now.
 * @throws `token_of_another_log`, `invalid_token`
 */
export function ownCut(plane: Plane, cut: Cut, field: string): Cut {
  const { logId, epoch, partitions } = plane.log.info;
  if (cut.logId !== logId) {
    throw new MemplaneError('token_of_another_log', 'The token is of another log.', { field });
  }
  if (cut.epoch > epoch) {
    throw new MemplaneError('invalid_token', 'The token is of an epoch yet to come.', { field });
  }
  if (cut.timeMs !== undefined && cut.timeMs > TIME_MS_MAX) {
    throw new MemplaneError('invalid_token', 'The time of the token is out of range.', { field });
  }
  for (const partition of cut.offsets.keys()) {
    if (partition >= (cut.partitions ?? partitions / 2 ** (epoch - cut.epoch))) {
      throw new MemplaneError('invalid_token', 'The token names a partition beyond the log.', {
        field,
      });
    }
  }
  return cutInEpoch(cut, { epoch, partitions });
}

/**
 * Waits until the shards have applied what tokens name.
 * @param partition only this one's part, for a read of one entity
 * @throws MemplaneError `not_yet_visible` past the deadline
 */
export async function waitForTokens(
  plane: Plane,
  after: string | readonly string[] | undefined,
  wait: Waiting,
  partition?: number,
  field = 'query.after',
): Promise<void> {
  if (after === undefined) return;
  const given = (typeof after === 'string' ? [after] : after).map((it) => decodeToken(it, field));
  const [first, ...rest] = given.map((cut) => ownCut(plane, cut, field));
  if (first === undefined) return;
  await waitForOffsets(plane, joinCuts([first, ...rest]).offsets, wait, partition);
}

/** Waits until the owners have applied some offsets. */
async function waitForOffsets(
  plane: Plane,
  offsets: ReadonlyMap<number, number>,
  wait: Waiting,
  only?: number,
): Promise<void> {
  const due: number[] = [];
  for (const [partition, offset] of offsets) {
    if (offset < 0 || (only !== undefined && only !== partition)) continue;
    if ((plane.shards.get(partition)?.applied ?? -2) < offset) due.push(partition);
  }
  if (due.length === 0) return;
  await gather(plane, waitPart, {
    partitions: due,
    query: (partitions) => partitions.map((p) => [p, offsets.get(p) ?? -1] as const),
    wait,
  });
}

const waitPart: Part<Positions, null> = {
  name: 'wait',
  async run(plane, _partitions, offsets, wait) {
    await waitHere(plane, new Map(offsets), wait);
    return null;
  },
};

/** Waits until the shards of some partitions, all of them here, have applied what a cut names. */
export async function waitHere(
  plane: Plane,
  offsets: ReadonlyMap<number, number>,
  wait: Waiting,
  partitions: Iterable<number> = offsets.keys(),
): Promise<void> {
  for (const partition of partitions) {
    const offset = offsets.get(partition) ?? -1;
    const shard = plane.shards.at(partition);
    if (shard.applied >= offset) continue;
    if (!(await shard.waitFor(offset, wait.deadline, wait.signal))) {
      throw notYetVisible(shard, offset);
    }
  }
}

function notYetVisible(shard: Shard, offset: number): MemplaneError {
  const { partition } = shard;
  const why = shard.problem === undefined ? '' : ` Applying pauses: ${shard.problem.message}`;
  return new MemplaneError(
    'not_yet_visible',
    `The view has not applied offset ${offset} of partition ${partition} yet.${why}`,
    { retryAfterMs: 1000, extra: { partition, offset, applied: shard.applied } },
  );
}

export interface CutRequest {
  readonly asOf: string;
  readonly tenant: string;
  /** Needed for an offset or an event id. */
  readonly entity?: string | undefined;
  readonly wait: Waiting;
  readonly field?: string;
}

/**
 * Finds the cut that a point in time means, waiting until it is applied, and settled if a time.
 * @throws MemplaneError `invalid_as_of`, `invalid_token`, `token_of_another_log`, `not_found` (an
 * unknown event), `ambiguous_id`, `history_expired`, `not_yet_visible`
 */
export async function resolveAsOf(plane: Plane, request: CutRequest): Promise<ResolvedCut> {
  const field = request.field ?? 'query.asOf';
  const asOf = parseAsOf(request.asOf, field);
  const cut = await resolve(plane, asOf, request, field);
  checkHistoryOf(plane, cut, field);
  return cut;
}

/**
 * Looks at the partitions that are here; the others' owners look at theirs when they are asked. Call
 * it also within the snapshot that is read: whatever has been removed there, the start had moved before.
 * @throws MemplaneError `history_expired` for a cut before the history that is kept
 */
export function checkHistoryOf(
  plane: Plane,
  { offsets }: Pick<ResolvedCut, 'offsets'>,
  field: string,
): void {
  for (const [partition, offset] of offsets) {
    const historyStart = plane.shards.get(partition)?.record.historyStart ?? 0;
    if (offset < 0 || offset >= historyStart - 1) continue;
    throw historyExpired(partition, historyStart, field);
  }
}

export function historyExpired(
  partition: number,
  historyStart: number,
  field: string,
): MemplaneError {
  return new MemplaneError(
    'history_expired',
    `The history of partition ${partition} begins at offset ${historyStart}.`,
    { field, extra: { partition, historyStart } },
  );
}

async function resolve(
  plane: Plane,
  asOf: AsOf,
  request: CutRequest,
  field: string,
): Promise<ResolvedCut> {
  switch (asOf.kind) {
    case 'time':
      return timeCut(plane, asOf.timeMs, request.wait);
    case 'token':
      return cutOfToken(plane, ownCut(plane, asOf.cut, field), request.wait);
    case 'offset': {
      checkEpoch(plane, asOf.epoch, field);
      const partition = ownPartition(plane, request, field);
      await checkExists(plane, partition, asOf.offset, field);
      return offsetCut(plane, partition, asOf.offset, request.wait);
    }
    case 'event':
      return eventCut(plane, asOf.id, request, field);
  }
}

function ownPartition(plane: Plane, request: CutRequest, field: string): number {
  if (request.entity === undefined) {
    throw new MemplaneError(
      'invalid_as_of',
      'An offset or an event cuts one partition; across entities use a time or a token.',
      { field },
    );
  }
  return keysOf(plane.log.info, request.tenant, request.entity).partition;
}

/** Offsets go on from epoch to epoch: one of an earlier epoch means the same now. */
function checkEpoch(plane: Plane, epoch: number | undefined, field: string): void {
  const { epoch: newest, partitions, lineage } = plane.log.info;
  const doublings = Math.log2(partitions / (lineage?.partitionsInitial ?? partitions));
  if (epoch === undefined || (epoch <= newest && epoch >= newest - doublings)) return;
  throw new MemplaneError('invalid_as_of', `The log has no epoch ${epoch}.`, { field });
}

/** Nobody was ever told of an offset that the log has not given out, so waiting for it is no help. */
async function checkExists(
  plane: Plane,
  partition: number,
  offset: number,
  field: string,
): Promise<void> {
  const { end } = await plane.log.bounds(partition);
  if (offset < end) return;
  throw new MemplaneError('invalid_as_of', `Partition ${partition} ends before offset ${end}.`, {
    field,
    extra: { partition, end },
  });
}

async function offsetCut(
  plane: Plane,
  partition: number,
  offset: number,
  wait: Waiting,
): Promise<ResolvedCut> {
  const offsets = new Map([[partition, offset]]);
  await waitForOffsets(plane, offsets, wait);
  return { offsets, timeMs: await newestMs(plane, offsets, wait) };
}

/** A token's cut, once it is applied; without a time of its own, at its newest stamp's. */
export async function cutOfToken(plane: Plane, cut: Cut, wait: Waiting): Promise<ResolvedCut> {
  await waitForOffsets(plane, cut.offsets, wait);
  return { offsets: cut.offsets, timeMs: cut.timeMs ?? (await newestMs(plane, cut.offsets, wait)) };
}

/** The newest stamp within a cut, as a time. */
export async function newestMs(
  plane: Plane,
  offsets: ReadonlyMap<number, number>,
  wait: Waiting,
): Promise<number> {
  const answers = await gather(plane, newestPart, {
    partitions: [...offsets.keys()],
    query: (partitions) => partitions.map((p) => [p, offsets.get(p) ?? -1] as const),
    wait,
  });
  return Math.max(0, ...answers);
}

const newestPart: Part<Positions, number> = {
  name: 'newest',
  async run(plane, _partitions, offsets, wait) {
    await waitHere(plane, new Map(offsets), wait);
    return inSnapshot(plane, async (reader) => {
      const stamps = await Promise.all(
        offsets.map(([partition, offset]) =>
          reader.stampAt(plane.shards.at(partition).record, partition, offset),
        ),
      );
      return Math.max(0, ...stamps.map(hlcToMs));
    });
  },
};

async function eventCut(
  plane: Plane,
  id: string,
  request: CutRequest,
  field: string,
): Promise<ResolvedCut> {
  const partition = ownPartition(plane, request, field);
  const { tenant, entity = '', wait } = request;
  const query = { tenant, entity, id, field };
  const offset = await askOwner(plane, eventOffsetPart, partition, query, wait);
  return offsetCut(plane, partition, offset, wait);
}

interface EventQuery {
  readonly tenant: string;
  readonly entity: string;
  readonly id: string;
  readonly field: string;
}

const eventOffsetPart: Part<EventQuery, number> = {
  name: 'eventOffset',
  async run(plane, _partitions, { tenant, entity, id, field }, wait) {
    const keys = keysOf(plane.log.info, tenant, entity);
    const { partition } = keys;
    const find = () => inSnapshot(plane, (reader) => reader.get(keys.id(id, entity)));
    let row = await find();
    if (row === null) {
      // It may be in the log and not applied yet.
      const { end } = await plane.log.bounds(partition);
      if (end - 1 > plane.shards.at(partition).applied) {
        await waitHere(plane, new Map([[partition, end - 1]]), wait);
        row = await find();
      }
    }
    if (row === null) {
      throw new MemplaneError('not_found', 'The entity has no such event.', { field });
    }
    return decodeId(row).offset;
  },
};

/**
 * Cuts every partition at the longest prefix whose stamps are all at or before a time. Settled in a
 * partition once a later stamp is in it, or once no earlier one can come any more.
 */
async function timeCut(plane: Plane, timeMs: number, wait: Waiting): Promise<ResolvedCut> {
  const query = () => ({ timeMs });
  const offsets = await positions(plane, timePart, allPartitions(plane), query, wait);
  return { offsets, timeMs };
}

const timePart: Part<{ readonly timeMs: number }, Positions> = {
  name: 'time',
  async run(plane, partitions, { timeMs }, wait) {
    const limit = lastHlcOf(timeMs);
    await Promise.all(partitions.map((p) => settle(plane, p, timeMs, limit, wait)));
    return inSnapshot(plane, (reader) =>
      Promise.all(
        partitions.map(async (p) => {
          const offset = await reader.offsetAt(plane.shards.at(p).record, p, limit);
          return [p, offset] as const;
        }),
      ),
    );
  },
};

export const CUT_PARTS = [
  appliedPart,
  historyStartPart,
  waitPart,
  newestPart,
  timePart,
  eventOffsetPart,
];

async function settle(
  plane: Plane,
  partition: number,
  timeMs: number,
  limit: bigint,
  wait: Waiting,
): Promise<void> {
  const shard = plane.shards.at(partition);
  const settledAt = timeMs + plane.settings.time_cut_settle_ms;
  for (;;) {
    if (shard.record.maxHlc > limit) return;
    const leftMs = settledAt - plane.now() + 1;
    if (leftMs <= 0) {
      // Whatever has a stamp of that time is in the log by now: apply what there is.
      const { end } = await plane.log.bounds(partition);
      await waitHere(plane, new Map([[partition, end - 1]]), wait);
      return;
    }
    if (performance.now() >= wait.deadline) {
      throw new MemplaneError('not_yet_visible', 'That time is not settled yet.', {
        retryAfterMs: leftMs,
        extra: { settledAtMs: settledAt },
      });
    }
    const until = Math.min(wait.deadline, performance.now() + leftMs);
    await shard.waitFor(shard.applied + 1, until, wait.signal);
  }
}
