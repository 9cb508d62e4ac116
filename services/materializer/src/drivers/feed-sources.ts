import {
  DEFAULT_TENANT,
  type FeedSelection,
  MemplaneError,
  partitionKey,
  TOPICS,
} from '@memplane/contracts';
import type { LogReadOptions, LogRecord } from '@memplane/event-log';
import { emptied } from '@memplane/runtime/sealing';
import {
  eventLine,
  type FeedLine,
  mayMeanRecall,
  positionLine,
  type ViewLine,
  viewLine,
} from '../domain/feed.ts';
import { after, PLANE, ShardKeys, splitPartitionKey, toKey } from '../domain/keys.ts';
import { decodeErased, decodeHead, type Head } from '../domain/rows.ts';
import { epochOf } from '../domain/shard-epoch.ts';
import { isExpired } from '../domain/state.ts';
import { readTimeline } from '../domain/timeline.ts';
import { historyExpired } from '../reads/cuts.ts';
import { inSnapshot, keysOf, type Plane } from '../reads/plane.ts';
import { FeedBeforeStart } from './feed-before-start.ts';
import type { ViewReader } from './view-reader.ts';

/** Records that the log no longer has. */
export interface RecordArchive {
  /** Records in order from `from` on; empty where the archive has none. */
  read(partition: number, from: number, options: LogReadOptions): Promise<LogRecord[]>;
}

export interface FeedStep<Line extends FeedLine = FeedLine> {
  readonly lines: readonly Line[];
  /** Where to go on. Beyond the lines' own offsets where records brought no line. */
  readonly next: number;
}

/** Batches of the timeline that are read at once. */
const TIMELINE_STEP_BATCHES = 16;
/** Views that are made at once; those beyond the bytes of a step are made again. */
const VIEWS_PER_READ = 16;

/** One step of a feed: some lines from an offset on, none at the end of what is applied. */
export type FeedSource<Line extends FeedLine = FeedLine> = (
  partition: number,
  from: number,
  bytesMax: number,
) => Promise<FeedStep<Line>>;

export interface FeedSourceOptions {
  readonly archive?: RecordArchive | undefined;
  /** Begin a feed of events from before the history's start with what is kept of it, not with a no. */
  readonly retained?: boolean;
  /** Of a feed of events; absent: all. */
  readonly select?: FeedSelection | undefined;
}

export function feedSource(
  topic: string,
  plane: Plane,
  { archive, retained = false, select }: FeedSourceOptions = {},
): FeedSource {
  if (topic === TOPICS.events) {
    const before = new FeedBeforeStart(plane);
    const startOf = (partition: number) => plane.shards.at(partition).record.historyStart;
    return (partition, from, bytesMax) => {
      const start = startOf(partition);
      const part = { partition, from, bytesMax };
      if (from >= start) return readEvents(plane, archive, part, select);
      if (!retained) throw historyExpired(partition, start, 'query.from');
      return before.events(partition, from, bytesMax);
    };
  }
  return viewsSource(plane);
}

/** A feed with the lines of one tenant alone, at their own places. */
export function ofTenant(source: FeedSource, tenant: string): FeedSource {
  return async (partition, from, bytesMax) => {
    const { lines, next } = await source(partition, from, bytesMax);
    return { lines: lines.filter(({ key }) => splitPartitionKey(key).tenant === tenant), next };
  };
}

/** The feed of changed views: of each entity the newest, at the offset of its newest change. */
export function viewsSource(plane: Plane): FeedSource<ViewLine> {
  const before = new FeedBeforeStart(plane);
  return (partition, from, bytesMax) => {
    if (from >= plane.shards.at(partition).record.historyStart)
      return readViews(plane, partition, from, bytesMax);
    return before.views(partition, from, bytesMax, (reader, rows) => {
      const changes = rows.map(({ keys, entity, offset }): [string, number] => [
        partitionKey(keys.tenant, entity),
        offset,
      ]);
      return changedLines(plane, reader, partition, changes);
    });
  };
}

interface FeedPart {
  readonly partition: number;
  readonly from: number;
  readonly bytesMax: number;
}

/**
 * The records of the log, also those that the views left out, marked as such; from the archive where
 * the log has gone.
 */
async function readEvents(
  plane: Plane,
  archive: RecordArchive | undefined,
  { partition, from, bytesMax: maxBytes }: FeedPart,
  select: FeedSelection | undefined,
): Promise<FeedStep> {
  const shard = plane.shards.at(partition);
  const { applied } = shard;
  if (from > applied) return { lines: [], next: from };
  const options = { maxBytes, maxRecords: Math.min(applied - from + 1, 4096) };
  const records = await readRecords(plane, archive, partition, from, options);
  // Those of the shard: it may not have been split yet, where the log has grown already.
  const { epoch } = shard.record;
  const { info } = plane.log;
  const { isForeign } = epochOf(info, partition, shard.record);
  const last = records.at(-1)?.offset ?? from - 1;
  const { duplicates, rejected } = shard.record;
  // Its parent counts those of before it was split off.
  const isParents = from < (info.lineage?.bases[partition] ?? 0);
  const leftOut =
    duplicates + rejected === 0 && !isParents
      ? NONE
      : await offsetsLeftOut(plane, partition, from, last);
  const own = isForeign === undefined ? records : records.filter(({ key }) => !isForeign(key));
  const told = await withoutErased(plane, partition, own);
  const lines: FeedLine[] = [];
  for (const record of told) {
    const { offset } = record;
    if (select === undefined || mayMeanRecall(record.value)) {
      lines.push(eventLine(epoch, record, !leftOut.has(offset)));
    } else if (offset === last) lines.push(positionLine(epoch, record));
  }
  // Who selects counts positions, that of a record of another partition too.
  const end = records.at(-1);
  const isTold = end === undefined || lines.at(-1)?.offset === last;
  if (select !== undefined && !isTold) lines.push(positionLine(epoch, end));
  return { lines, next: last + 1 };
}

/** What is erased has an empty payload, also while the log still has it. */
export async function withoutErased(
  plane: Plane,
  partition: number,
  records: readonly LogRecord[],
): Promise<readonly LogRecord[]> {
  if (plane.shards.at(partition).record.erasures === undefined) return records;
  return inSnapshot(plane, async (reader) => {
    const keys = [...new Set(records.map(({ key }) => key))];
    const rows = await reader.getMany(
      keys.map((key) => {
        const { tenant, entity } = splitPartitionKey(key);
        return toKey(new ShardKeys(tenant, partition).erased(entity));
      }),
    );
    const erasures = new Map<string, number>();
    for (const [i, row] of rows.entries()) {
      if (row) erasures.set(keys[i] ?? '', decodeErased(row).offset);
    }
    if (erasures.size === 0) return records;
    return records.map((record) => {
      const isErased = record.offset < (erasures.get(record.key) ?? -1);
      return isErased ? { ...record, value: emptied(record.value) } : record;
    });
  });
}

const NONE: ReadonlySet<number> = new Set();

/** The offsets, `from` and `last` included, of second copies and of events with a reused id. */
async function offsetsLeftOut(
  plane: Plane,
  partition: number,
  from: number,
  last: number,
): Promise<ReadonlySet<number>> {
  const keys = new ShardKeys(PLANE, partition);
  const found = new Set<number>();
  await inSnapshot(plane, async ({ rocks, snapshot }) => {
    for (let next = from; next <= last; ) {
      const batches = await rocks.scanAll({
        gte: toKey(keys.batch(next)),
        lt: toKey(after(keys.table('b'))),
        snapshot,
        limit: TIMELINE_STEP_BATCHES,
        chunkRows: TIMELINE_STEP_BATCHES,
      });
      if (batches.length === 0) return;
      for (const { value } of batches) {
        for (const { offset, key } of readTimeline(value)) {
          if (key === '') found.add(offset);
          next = Math.max(next, offset + 1);
        }
      }
    }
  });
  return found;
}

/** @throws MemplaneError `history_expired` when neither log nor archive goes back that far */
export async function readRecords(
  plane: Plane,
  archive: RecordArchive | undefined,
  partition: number,
  from: number,
  options: LogReadOptions,
): Promise<LogRecord[]> {
  try {
    return await plane.log.read(partition, from, options);
  } catch (error) {
    if (!(error instanceof MemplaneError) || error.code !== 'history_expired') throw error;
    const records = (await archive?.read(partition, from, options)) ?? [];
    if (records.length === 0) throw error;
    return records;
  }
}

/**
 * The newest view of each entity that changed, at the offset of its newest change: an entry of the
 * timeline whose entity has changed again since is left to the later one.
 */
async function readViews(
  plane: Plane,
  partition: number,
  from: number,
  bytesMax: number,
): Promise<FeedStep<ViewLine>> {
  return await inSnapshot(plane, async (reader) => {
    const keys = new ShardKeys(PLANE, partition);
    const batches = await reader.rocks.scanAll({
      gte: toKey(keys.batch(from)),
      lt: toKey(after(keys.table('b'))),
      snapshot: reader.snapshot,
      limit: TIMELINE_STEP_BATCHES,
      chunkRows: TIMELINE_STEP_BATCHES,
    });
    const newest = new Map<string, number>();
    let next = from;
    for (const { value } of batches) {
      for (const { offset, key } of readTimeline(value)) {
        if (offset < from) continue;
        if (key !== '') newest.set(key, offset);
        next = offset + 1;
      }
    }
    return await linesOf(plane, reader, partition, { newest, next, bytesMax });
  });
}

async function linesOf(
  plane: Plane,
  reader: ViewReader,
  partition: number,
  step: { newest: ReadonlyMap<string, number>; next: number; bytesMax: number },
): Promise<FeedStep<ViewLine>> {
  const changes = [...step.newest].sort((a, b) => a[1] - b[1]);
  const lines: ViewLine[] = [];
  let bytes = 0;
  for (let at = 0; at < changes.length; at += VIEWS_PER_READ) {
    const part = changes.slice(at, at + VIEWS_PER_READ);
    for (const line of await changedLines(plane, reader, partition, part)) {
      lines.push(line);
      bytes += line.json.length;
      if (bytes >= step.bytesMax) return { lines, next: line.offset + 1 };
    }
  }
  return { lines, next: step.next };
}

/** The views of some entities of a partition as they are, by their partition keys. */
export function viewsOf(
  plane: Plane,
  partition: number,
  keys: readonly string[],
): Promise<ViewLine[]> {
  return inSnapshot(plane, async (reader) => {
    const lines: ViewLine[] = [];
    for (const [i, row] of (await reader.getMany(headKeys(plane, keys))).entries()) {
      const key = keys[i] ?? '';
      if (row) lines.push(await lineOf(plane, reader, partition, key, decodeHead(row)));
    }
    return lines;
  });
}

/** The views of entities whose newest change is still the one at an offset. */
async function changedLines(
  plane: Plane,
  reader: ViewReader,
  partition: number,
  changes: readonly (readonly [key: string, offset: number])[],
): Promise<ViewLine[]> {
  const keys = changes.map(([key]) => key);
  const heads = await reader.getMany(headKeys(plane, keys));
  const lines: ViewLine[] = [];
  for (const [i, [key, offset]] of changes.entries()) {
    const row = heads[i];
    if (!row) continue;
    const head = decodeHead(row);
    if (head.offset === offset) lines.push(await lineOf(plane, reader, partition, key, head));
  }
  return lines;
}

function headKeys(plane: Plane, keys: readonly string[]): Buffer[] {
  return keys.map((key) => {
    const { tenant, entity } = splitPartitionKey(key);
    return toKey(keysOf(plane.log.info, tenant, entity).head(entity));
  });
}

async function lineOf(
  plane: Plane,
  reader: ViewReader,
  partition: number,
  key: string,
  head: Head,
): Promise<ViewLine> {
  const { logId, epoch } = plane.log.info;
  const { tenant = DEFAULT_TENANT, entity } = splitPartitionKey(key);
  const now = plane.now();
  const { ownerEpoch } = plane.shards.at(partition);
  const rows =
    head.memoryCount === 0
      ? []
      : await reader.memories(keysOf(plane.log.info, tenant, entity), entity, head.memoryCount);
  const live = rows.filter((row) => !isExpired(row.expiresMs, now));
  return viewLine({
    logId,
    epoch,
    ownerEpoch,
    partition,
    offset: head.offset,
    key,
    tenant,
    entity,
    attributes: head.attributes.toString(),
    memories: `[${live.map((row) => row.json.toString()).join(',')}]`,
    sequence: head.sequence,
    hlc: head.hlc,
    isSealed: head.isSealed,
  });
}
