import { type CloudEvent, MemplaneError } from '@memplane/contracts';
import { after, EVENT_KIND, offsetText, ShardKeys, toKey } from '../domain/keys.ts';
import { decodeHistory, decodeId } from '../domain/rows.ts';
import type { ViewReader } from '../drivers/view-reader.ts';
import { historyExpired, waitForTokens, waitHere } from './cuts.ts';
import { notFound } from './entity.ts';
import { erasedError, erasedPart, erasuresOf, isErasedAt } from './erased.ts';
import { allPartitions, askOwner, gather, type Part } from './part.ts';
import { inSnapshot, keysOf, type Plane, type Waiting } from './plane.ts';

export interface HistoryRequest {
  readonly tenant: string;
  readonly entity: string;
  readonly after?: string | readonly string[] | undefined;
  /** The first offset; 0: where the history begins. */
  readonly from: number;
  readonly limit: number;
}

/**
 * A page of an entity's events, as JSON text: the events themselves are passed on as they are.
 * @throws MemplaneError `not_found` when it has none, `history_expired`
 */
export function readHistory(plane: Plane, request: HistoryRequest, wait: Waiting): Promise<string> {
  const { partition } = keysOf(plane.log.info, request.tenant, request.entity);
  return askOwner(plane, historyPart, partition, request, wait);
}

const historyPart: Part<HistoryRequest, string> = {
  name: 'history',
  async run(plane, [partition], request, wait) {
    await waitForTokens(plane, request.after, wait, partition);
    return await historyHere(plane, request);
  },
};

async function historyHere(plane: Plane, request: HistoryRequest): Promise<string> {
  const { tenant, entity, from, limit } = request;
  const keys = keysOf(plane.log.info, tenant, entity);
  return inSnapshot(plane, async (reader) => {
    const { head, shard } = await reader.head(keys, entity);
    if (head === undefined || shard === undefined) throw notFound(entity, shard?.applied ?? -1);
    const { historyStart } = shard;
    if (from > 0 && from < historyStart) {
      throw historyExpired(keys.partition, historyStart, 'query.from');
    }
    const [erasedAt = -1] =
      shard.erasures === undefined ? [] : await reader.erasedAt(keys, [entity]);
    const isBefore = from > 0 && from < erasedAt;
    if (isBefore || isErasedAt(erasedAt, shard.applied, head.offset)) {
      throw erasedError(entity, from > 0 ? 'query.from' : 'path.id');
    }
    const first = Math.max(from, historyStart, erasedAt);
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
function storedEventJson(plane: Plane, partition: number, offset: number, row: Buffer): string {
  const { rejected, sequence, event } = decodeHistory(row);
  const { epoch } = plane.log.info;
  const mark = rejected ? ',"rejected":"id_reused"' : '';
  return `{"event":${event.toString()},"partition":${partition},"epoch":${epoch},"offset":${offset},"sequence":${sequence}${mark}}`;
}

/** Where an event is. */
export interface EventPlace {
  readonly partition: number;
  readonly entity: string;
  readonly offset: number;
}

interface FindQuery {
  readonly tenant: string;
  readonly id: string;
  readonly entity: string | undefined;
  readonly limit: number;
}

/** The places of the events of an id: of one entity, or of all of them, at most `limit`. */
export async function findEvents(
  plane: Plane,
  query: FindQuery,
  wait: Waiting,
): Promise<EventPlace[]> {
  const { tenant, entity } = query;
  const partitions =
    entity === undefined
      ? allPartitions(plane)
      : [keysOf(plane.log.info, tenant, entity).partition];
  const found = await gather(plane, findPart, { partitions, query: () => query, wait });
  return found
    .flat()
    .sort((a, b) => a.partition - b.partition)
    .slice(0, query.limit);
}

const findPart: Part<FindQuery, readonly EventPlace[]> = {
  name: 'findEvents',
  run: (plane, partitions, { tenant, id, entity, limit }) =>
    inSnapshot(plane, async (reader) => {
      const found = await Promise.all(
        partitions.map(async (partition) => {
          const keys = new ShardKeys(tenant, partition);
          if (entity !== undefined) {
            const row = await reader.get(keys.id(id, entity));
            const offset = row === null ? -1 : decodeId(row).offset;
            return kept(plane, row === null ? [] : [{ partition, entity, offset }]);
          }
          const prefix = keys.ids(id);
          const rows = await reader.rocks.scanAll({
            gte: toKey(prefix),
            lt: toKey(after(prefix)),
            snapshot: reader.snapshot,
            limit,
            chunkRows: limit,
          });
          const places = rows.map(({ key, value }) => ({
            partition,
            entity: key.toString('latin1', prefix.length),
            offset: decodeId(value).offset,
          }));
          return kept(plane, places);
        }),
      );
      return found.flat();
    }),
};

/** What is before the history's start is gone, whether or not it has been removed yet. */
function kept(plane: Plane, places: readonly EventPlace[]): EventPlace[] {
  return places.filter(
    ({ partition, offset }) => offset >= plane.shards.at(partition).record.historyStart,
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
  request: EventRequest,
  wait: Waiting,
): Promise<EventPlace> {
  const query = { ...request, limit: MATCHES_TOLD_MAX };
  const [place, other, ...more] = await findEvents(plane, query, wait);
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
export async function readEvent(
  plane: Plane,
  request: EventRequest,
  wait: Waiting,
): Promise<string> {
  const place = await findEvent(plane, request, wait).catch((error: unknown) =>
    refuseErased(plane, request, wait, error),
  );
  const { tenant } = request;
  const { partition } = place;
  const [event] = await askOwner(plane, eventsPart, partition, { tenant, places: [place] }, wait);
  if (event !== undefined) return event.json;
  throw new MemplaneError('history_expired', 'The event is older than the history kept.');
}

/** Of an erased entity nobody can tell any more whether it had such an event. */
async function refuseErased(
  plane: Plane,
  { tenant, entity }: EventRequest,
  wait: Waiting,
  error: unknown,
): Promise<never> {
  const isNotFound = error instanceof MemplaneError && error.code === 'not_found';
  if (!isNotFound || entity === undefined) throw error;
  const { partition } = keysOf(plane.log.info, tenant, entity);
  const erasedAt = await askOwner(plane, erasedPart, partition, { tenant, entity }, wait);
  throw erasedAt < 0 ? error : erasedError(entity, 'query.id');
}

interface PlacesQuery {
  readonly tenant: string;
  readonly places: readonly EventPlace[];
}

interface FoundEvent {
  readonly place: EventPlace;
  /** A `StoredEvent`. */
  readonly json: string;
}

const eventsPart: Part<PlacesQuery, readonly FoundEvent[]> = {
  name: 'events',
  async run(plane, _partitions, { tenant, places }, wait) {
    const newest = new Map<number, number>();
    for (const { partition, offset } of places) {
      newest.set(partition, Math.max(offset, newest.get(partition) ?? -1));
    }
    await waitHere(plane, newest, wait);
    return inSnapshot(plane, async (reader) => {
      const rows = await reader.getMany(
        places.map(({ partition, entity, offset }) =>
          toKey(new ShardKeys(tenant, partition).event(entity, offset)),
        ),
      );
      const erasures = await erasuresOf(reader, tenant, places, (partition) => {
        return plane.shards.at(partition).record.erasures !== undefined;
      });
      return places.flatMap((place, i) => {
        const row = rows[i];
        if (!row || place.offset < (erasures.get(place.entity) ?? -1)) return [];
        return [{ place, json: storedEventJson(plane, place.partition, place.offset, row) }];
      });
    });
  },
};

/** The events at some places; those whose history is gone are left out. */
export async function readEvents(
  plane: Plane,
  { tenant, places }: PlacesQuery,
  wait: Waiting,
): Promise<{ readonly place: EventPlace; readonly event: CloudEvent }[]> {
  const answers = await gather(plane, eventsPart, {
    partitions: [...new Set(places.map(({ partition }) => partition))],
    query: (own) => ({
      tenant,
      places: places.filter(({ partition }) => own.includes(partition)),
    }),
    wait,
  });
  const order = new Map(places.map((place, i) => [`${place.partition}/${place.offset}`, i]));
  const rank = ({ place }: FoundEvent) => order.get(`${place.partition}/${place.offset}`) ?? 0;
  return answers
    .flat()
    .sort((a, b) => rank(a) - rank(b))
    .map(({ place, json }) => ({ place, event: (JSON.parse(json) as StoredEvent).event }));
}

interface StoredEvent {
  readonly event: CloudEvent;
}

export const HISTORY_PARTS = [historyPart, findPart, eventsPart];
