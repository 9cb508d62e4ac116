import {
  type ClearedStore,
  type ClearingRequest,
  MemplaneError,
  partitionKey,
} from '@memplane/contracts';
import { type Clearing, decodeClearing, isTopicDue } from '../domain/clearing.ts';
import { PLANE, ShardKeys } from '../domain/keys.ts';
import { type ErasedAt, PublishedContent } from '../domain/published-content.ts';
import type { ViewTopic } from '../domain/publishing.ts';
import { erasedRows } from '../drivers/erased-rows.ts';
import { waitHere } from './cuts.ts';
import type { Part } from './part.ts';
import { inSnapshot, keysOf, type Plane, type Waiting } from './plane.ts';

/** What was published of a shard. */
export interface Published {
  /** Snapshots of before an offset, or with rows of before. */
  snapshotsBefore(partition: number, offset: number): Promise<number>;
  /** Plain events of an entity before an offset in the archive, with their payload. */
  plainArchived(partition: number, key: string, offset: number): Promise<number>;
}

export interface ClearingContext {
  readonly plane: Plane;
  readonly published: Published | undefined;
  /** Absent: views are published nowhere, or where nobody can look. */
  readonly openTopic: ViewTopic['open'] | undefined;
  readonly logRetentionMs: number;
}

/** A thorough look reads tables from end to end. */
const CLEARING_TIMEOUT_MS = 9 * 60_000;

/** {@link clearingOf} by the instance that owns the partition. */
export function clearingPart(context: ClearingContext): Part<ClearingRequest, ClearedStore[]> {
  return {
    name: 'clearing',
    timeoutMs: CLEARING_TIMEOUT_MS,
    run: (_plane, _partitions, request, wait) => clearingOf(context, request, wait),
  };
}

/**
 * How far the views, and what was published of them, are with an erasure.
 * @throws MemplaneError `invalid_request` for an offset that the log does not have, and what waiting throws
 */
export async function clearingOf(
  { plane, published, openTopic, logRetentionMs }: ClearingContext,
  { tenant, entity, offset, isThorough }: ClearingRequest,
  wait: Waiting,
): Promise<ClearedStore[]> {
  const keys = keysOf(plane.log.info, tenant, entity);
  const { partition } = keys;
  if (offset >= (await plane.log.bounds(partition)).end) {
    throw new MemplaneError('invalid_request', `The log ends before offset ${offset}.`, {
      field: 'body.offset',
    });
  }
  await waitHere(plane, new Map([[partition, offset]]), wait);
  const name = new ShardKeys(PLANE, partition).clearing(tenant, entity);
  const row = await inSnapshot(plane, (reader) => reader.get(name));
  const clearing = row === null ? undefined : decodeClearing(row);
  const clearedAtMs =
    clearing !== undefined && clearing.offset >= offset ? clearing.clearedAtMs : undefined;
  const isDone = clearedAtMs !== undefined;
  const since = isDone ? { at: new Date(clearedAtMs).toISOString() } : {};
  const left = isThorough ? await rowsLeft(plane, keys, entity, offset) : 0;
  const counted = isThorough ? { left } : {};
  const stores: ClearedStore[] = [
    { store: 'views', isClear: isDone && left === 0, ...counted, ...since },
  ];
  if (published !== undefined) {
    const snapshots = await published.snapshotsBefore(partition, offset);
    stores.push({
      store: 'snapshots',
      isClear: isDone && snapshots === 0,
      left: snapshots,
      ...since,
    });
    if (isThorough) {
      const key = partitionKey(tenant, entity);
      const plain = await published.plainArchived(partition, key, offset);
      stores.push({ store: 'archive', isClear: plain === 0, left: plain });
    } else stores.push({ store: 'archive', isClear: isDone, ...since });
  }
  if (openTopic !== undefined) {
    const key = partitionKey(tenant, entity);
    const at = { logId: plane.log.info.logId, partition, offset };
    if (isThorough) stores.push(await lookedThrough(openTopic, key, at));
    else stores.push(topicStore(isDone ? clearing : undefined));
  }
  const { plainUpToMs } = clearing ?? {};
  if (plainUpToMs === undefined) stores.push({ store: 'log', isClear: isDone });
  else {
    const until = new Date(plainUpToMs + logRetentionMs).toISOString();
    const note =
      'Plain events stay in the log, and are shown by nothing, until its retention ends.';
    stores.push({ store: 'log', isClear: isDone, until, note });
  }
  return stores;
}

/** @param clearing undefined: the views are not clear yet */
function topicStore(clearing: Clearing | undefined): ClearedStore {
  if (clearing === undefined || isTopicDue(clearing)) return { store: 'topic', isClear: false };
  const atMs = clearing.topicClearedAtMs ?? clearing.clearedAtMs;
  return {
    store: 'topic',
    isClear: true,
    ...(atMs === undefined ? {} : { at: new Date(atMs).toISOString() }),
  };
}

async function lookedThrough(
  open: NonNullable<ViewTopic['open']>,
  key: string,
  erased: ErasedAt,
): Promise<ClearedStore> {
  const content = new PublishedContent(new Map([[key, erased]]));
  await using topic = await open();
  for await (const messages of topic?.records() ?? []) content.add(messages);
  const left = content.left(key);
  return { store: 'topic', isClear: left === 0, left };
}

function rowsLeft(plane: Plane, keys: ShardKeys, entity: string, offset: number): Promise<number> {
  const erasures = new Map([[entity, offset]]);
  return inSnapshot(plane, async ({ rocks, snapshot }) => {
    let left = 0;
    for await (const rows of erasedRows(rocks, keys, erasures, snapshot)) left += rows.length;
    return left;
  });
}
