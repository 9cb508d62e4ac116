import { DEFAULT_TENANT, MemplaneError, TOPICS } from '@memplane/contracts';
import type { LogReadOptions, LogRecord } from '@memplane/event-log';
import { eventLine, type FeedLine, viewLine } from '../domain/feed.ts';
import { after, PLANE, ShardKeys, splitPartitionKey, toKey } from '../domain/keys.ts';
import { decodeHead, type Head } from '../domain/rows.ts';
import { isExpired } from '../domain/state.ts';
import { readTimeline } from '../domain/timeline.ts';
import { inSnapshot, keysOf, type Plane, shardAt } from '../reads/plane.ts';
import type { ViewReader } from './view-reader.ts';

/** Records that the log no longer has. */
export interface RecordArchive {
  /** Records in order from `from` on; empty where the archive has none. */
  read(partition: number, from: number, options: LogReadOptions): Promise<LogRecord[]>;
}

export interface FeedStep {
  readonly lines: readonly FeedLine[];
  /** Where to go on. Beyond the lines' own offsets where records brought no line. */
  readonly next: number;
}

/** One step of a feed: some lines from an offset on, none at the end of what is applied. */
export type FeedSource = (partition: number, from: number, bytesMax: number) => Promise<FeedStep>;

export function feedSource(topic: string, plane: Plane, archive?: RecordArchive): FeedSource {
  if (topic === TOPICS.events) return (...step) => readEvents(plane, archive, ...step);
  return (partition, from, bytesMax) => readViews(plane, partition, from, bytesMax);
}

/** The records of the log, also duplicates and refused ones; from the archive where it has gone. */
async function readEvents(
  plane: Plane,
  archive: RecordArchive | undefined,
  partition: number,
  from: number,
  maxBytes: number,
): Promise<FeedStep> {
  const { applied } = shardAt(plane, partition);
  if (from > applied) return { lines: [], next: from };
  const options = { maxBytes, maxRecords: Math.min(applied - from + 1, 4096) };
  const records = await readRecords(plane, archive, partition, from, options);
  const { epoch } = plane.log.info;
  const lines = records.map((record) => eventLine(epoch, record));
  return { lines, next: (lines.at(-1)?.offset ?? from - 1) + 1 };
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

/** Batches looked at in one step of the views' feed. */
const VIEW_STEP_BATCHES = 16;

/**
 * The newest view of each entity that changed, at the offset of its newest change: an entry of the
 * timeline whose entity has changed again since is left to the later one.
 */
async function readViews(
  plane: Plane,
  partition: number,
  from: number,
  bytesMax: number,
): Promise<FeedStep> {
  return await inSnapshot(plane, async (reader) => {
    const keys = new ShardKeys(PLANE, partition);
    const batches = await reader.rocks.scanAll({
      gte: toKey(keys.batch(from)),
      lt: toKey(after(keys.table('b'))),
      snapshot: reader.snapshot,
      limit: VIEW_STEP_BATCHES,
      chunkRows: VIEW_STEP_BATCHES,
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
): Promise<FeedStep> {
  const changes = [...step.newest].sort((a, b) => a[1] - b[1]);
  const heads = await reader.getMany(
    changes.map(([key]) => {
      const { tenant, entity } = splitPartitionKey(key);
      return toKey(keysOf(plane.log.info, tenant, entity).head(entity));
    }),
  );
  const lines: FeedLine[] = [];
  let bytes = 0;
  for (const [i, [key, offset]] of changes.entries()) {
    const row = heads[i];
    if (!row) continue;
    const head = decodeHead(row);
    if (head.offset !== offset) continue;
    const line = await lineOf(plane, reader, partition, key, head);
    lines.push(line);
    bytes += line.json.length;
    if (bytes >= step.bytesMax) return { lines, next: offset + 1 };
  }
  return { lines, next: step.next };
}

async function lineOf(
  plane: Plane,
  reader: ViewReader,
  partition: number,
  key: string,
  head: Head,
): Promise<FeedLine> {
  const { logId, epoch } = plane.log.info;
  const { tenant = DEFAULT_TENANT, entity } = splitPartitionKey(key);
  const now = plane.now();
  const rows =
    head.memoryCount === 0
      ? []
      : await reader.memories(keysOf(plane.log.info, tenant, entity), entity);
  const live = rows.filter((row) => !isExpired(row.expiresMs, now));
  return viewLine({
    logId,
    epoch,
    ownerEpoch: OWNER_EPOCH,
    partition,
    offset: head.offset,
    key,
    tenant,
    entity,
    attributes: head.attributes.toString(),
    memories: `[${live.map((row) => row.json.toString()).join(',')}]`,
    sequence: head.sequence,
    hlc: head.hlc,
  });
}

/** One process owns every shard of the embedded log for good. */
export const OWNER_EPOCH = 1;
