import { type CloudEvent, MemplaneError } from '@memplane/contracts';
import { after, EVENT_KIND, offsetText, ShardKeys, toKey } from '../domain/keys.ts';
import { decodeHistory, decodeId } from '../domain/rows.ts';
import type { ViewReader } from '../drivers/view-reader.ts';
import { historyExpired } from './cuts.ts';
import { notFound } from './entity.ts';
import { inSnapshot, keysOf, type Plane } from './plane.ts';

export interface HistoryRequest {
  readonly tenant: string;
  readonly entity: string;
  /** The first offset; 0: where the history begins. */
  readonly from: number;
  readonly limit: number;
}

/**
 * A page of an entity's events, as JSON text: the events themselves are passed on as they are.
 * @throws MemplaneError `not_found` when it has none, `history_expired`
 */
export async function readHistory(plane: Plane, request: HistoryRequest): Promise<string> {
  const { tenant, entity, from, limit } = request;
  const keys = keysOf(plane.log.info, tenant, entity);
  return inSnapshot(plane, async (reader) => {
    const { head, shard } = await reader.head(keys, entity);
    if (head === undefined || shard === undefined) throw notFound(entity, shard?.applied ?? -1);
    const { historyStart } = shard;
    if (from > 0 && from < historyStart) {
      throw historyExpired(keys.partition, historyStart, 'query.from');
    }
    const first = Math.max(from, historyStart);
    const rows = await eventRows(reader, keys, entity, first, limit + 1);
    const next = rows[limit];
    const events = rows
      .slice(0, limit)
      .map(({ offset, row }) => storedEventJson(plane, keys.partition, offset, row));
    const asOf = { epoch: plane.log.info.epoch, partition: keys.partition, offset: shard.applied };
    return `{"entity":${JSON.stringify(entity)},"events":[${events.join(',')}]${
      next === undefined ? '' : `,"next":${next.offset}`
    },"asOf":${JSON.stringify(asOf)}}`;
  });
}

async function eventRows(
  reader: ViewReader,
  keys: ShardKeys,
  entity: string,
  from: number,
  limit: number,
): Promise<{ offset: number; row: Buffer }[]> {
  const prefix = keys.histories(entity);
  const found: { offset: number; row: Buffer }[] = [];
  const range = {
    gte: toKey(prefix + offsetText(from) + EVENT_KIND),
    lt: toKey(after(prefix)),
    snapshot: reader.snapshot,
    chunkRows: Math.min(limit + 1, 256),
  };
  for await (const rows of reader.rocks.scan(range)) {
    for (const { key, value } of rows) {
      if (key[key.length - 1] !== 0) continue;
      found.push({ offset: key.readUIntBE(prefix.length, 6), row: value });
      if (found.length === limit) return found;
    }
  }
  return found;
}

/** A history row as a `StoredEvent`, in JSON. */
export function storedEventJson(
  plane: Plane,
  partition: number,
  offset: number,
  row: Buffer,
): string {
  const { rejected, sequence, event } = decodeHistory(row);
  const { epoch } = plane.log.info;
  const mark = rejected ? ',"rejected":"id_reused"' : '';
  return `{"event":${event.toString()},"partition":${partition},"epoch":${epoch},"offset":${offset},"sequence":${sequence}${mark}}`;
}

/** Where an event is: its entity, and the keys and offset of its row. */
export interface EventPlace {
  readonly keys: ShardKeys;
  readonly entity: string;
  readonly offset: number;
}

/** The places of the events of an id: of one entity, or of all of them, at most `limit`. */
export async function findEvents(
  plane: Plane,
  reader: ViewReader,
  tenant: string,
  id: string,
  entity: string | undefined,
  limit: number,
): Promise<EventPlace[]> {
  const { info } = plane.log;
  if (entity !== undefined) {
    const keys = keysOf(info, tenant, entity);
    const row = await reader.get(keys.id(id, entity));
    return row === null ? [] : kept(plane, [{ keys, entity, offset: decodeId(row).offset }]);
  }
  const found = await Promise.all(
    plane.shards.all().map(async ({ partition }) => {
      const keys = new ShardKeys(tenant, partition);
      const prefix = keys.ids(id);
      const rows = await reader.rocks.scanAll({
        gte: toKey(prefix),
        lt: toKey(after(prefix)),
        snapshot: reader.snapshot,
        limit,
        chunkRows: limit,
      });
      return rows.map(({ key, value }) => ({
        keys,
        entity: key.toString('latin1', prefix.length),
        offset: decodeId(value).offset,
      }));
    }),
  );
  return kept(plane, found.flat()).slice(0, limit);
}

/** What is before the history's start is gone, whether or not it has been removed yet. */
function kept(plane: Plane, places: readonly EventPlace[]): EventPlace[] {
  return places.filter(
    ({ keys, offset }) => offset >= plane.shards.at(keys.partition).record.historyStart,
  );
}

export interface EventRequest {
  readonly tenant: string;
  readonly id: string;
  readonly entity: string | undefined;
}

const MATCHES_TOLD_MAX = 10;

/** @throws MemplaneError `not_found`, `ambiguous_id` with the entities that have such an event */
export async function findEvent(
  plane: Plane,
  reader: ViewReader,
  { tenant, id, entity }: EventRequest,
): Promise<EventPlace> {
  const [place, other, ...more] = await findEvents(
    plane,
    reader,
    tenant,
    id,
    entity,
    MATCHES_TOLD_MAX,
  );
  if (place === undefined) {
    throw new MemplaneError('not_found', 'There is no such event.', { field: 'query.id' });
  }
  if (other !== undefined) {
    const entities = [place, other, ...more].map((match) => match.entity);
    throw new MemplaneError('ambiguous_id', 'Several entities have an event of this id.', {
      field: 'query.id',
      extra: { entities },
    });
  }
  return place;
}

/** @throws MemplaneError `not_found`, `ambiguous_id` */
export function readEvent(plane: Plane, request: EventRequest): Promise<string> {
  return inSnapshot(plane, async (reader) => {
    const { keys, entity, offset } = await findEvent(plane, reader, request);
    const row = await reader.get(keys.event(entity, offset));
    if (row === null) {
      throw new MemplaneError('history_expired', 'The event is older than the history kept.');
    }
    return storedEventJson(plane, keys.partition, offset, row);
  });
}

/** The events at some places; those whose history is gone are left out. */
export async function readEvents(
  reader: ViewReader,
  places: readonly EventPlace[],
): Promise<{ readonly place: EventPlace; readonly event: CloudEvent }[]> {
  const rows = await reader.getMany(
    places.map(({ keys, entity, offset }) => toKey(keys.event(entity, offset))),
  );
  return places.flatMap((place, i) => {
    const row = rows[i];
    if (!row) return [];
    return [{ place, event: JSON.parse(decodeHistory(row).event.toString()) as CloudEvent }];
  });
}
