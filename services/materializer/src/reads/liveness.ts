import {
  decodeToken,
  type Json,
  type LivenessItem,
  type LivenessRequest,
} from '@memplane/contracts';
import { compileFilter, type Matcher, parseFilter } from '@memplane/filter';
import { type ShardKeys, toKey } from '../domain/keys.ts';
import { decodeHead, decodeId, decodeMemory, decodeUntil } from '../domain/rows.ts';
import { isExpired } from '../domain/state.ts';
import type { ViewReader } from '../drivers/view-reader.ts';
import {
  checkHistoryOf,
  newestMs,
  ownCut,
  type Positions,
  type ResolvedCut,
  tokenOf,
  waitHere,
} from './cuts.ts';
import { erasuresOf } from './erased.ts';
import { gather, type Part } from './part.ts';
import { inSnapshot, keysOf, type Plane, type Waiting } from './plane.ts';

interface Candidate {
  readonly item: LivenessItem;
  readonly keys: ShardKeys;
  readonly cutOffset: number;
}

/** @throws MemplaneError see `checkLiveness` of the contracts */
export async function checkItems(
  plane: Plane,
  tenant: string,
  request: LivenessRequest,
  wait: Waiting,
): Promise<unknown> {
  const given = ownCut(plane, decodeToken(request.cut, 'body.cut'), 'body.cut');
  const { entityFilter } = request;
  filterOf(entityFilter); // refused here, before anybody is asked
  const cut: ResolvedCut = {
    offsets: given.offsets,
    timeMs: given.timeMs ?? (await newestMs(plane, given.offsets, wait)),
  };
  const timeMs = request.atMs ?? cut.timeMs;
  const partitions = request.items.map(
    (item) => keysOf(plane.log.info, tenant, item.entity).partition,
  );
  const answers = await gather(plane, livenessPart, {
    partitions: [...new Set(partitions)],
    query: (own) => {
      const mine = new Set(own);
      const numbers = [...partitions.keys()].filter((i) => mine.has(partitions[i] ?? -1));
      const items = numbers.map((i) => request.items[i] as LivenessItem);
      const offsets = own.map((p) => [p, given.offsets.get(p) ?? -1] as const);
      return { tenant, offsets, timeMs, entityFilter, numbers, items };
    },
    wait,
  });
  const live: boolean[] = new Array(request.items.length).fill(false);
  for (const { numbers, shown } of answers) {
    for (const [n, i] of numbers.entries()) live[i] = shown[n] ?? false;
  }
  return {
    token: tokenOf(plane, { ...cut, timeMs }),
    timeMs,
    items: live.map((is) => ({ live: is })),
  };
}

interface LivenessQuery {
  readonly tenant: string;
  readonly offsets: Positions;
  readonly timeMs: number;
  readonly entityFilter: unknown;
  /** Which of the request's items these are. */
  readonly numbers: readonly number[];
  readonly items: readonly LivenessItem[];
}

interface LivenessAnswer {
  readonly numbers: readonly number[];
  readonly shown: readonly boolean[];
}

const livenessPart: Part<LivenessQuery, LivenessAnswer> = {
  name: 'liveness',
  async run(plane, _partitions, query, wait) {
    const { tenant, timeMs, numbers } = query;
    const matches = filterOf(query.entityFilter);
    const cut = new Map(query.offsets);
    await waitHere(plane, cut, wait);
    const candidates = query.items.map((item): Candidate => {
      const keys = keysOf(plane.log.info, tenant, item.entity);
      return { item, keys, cutOffset: cut.get(keys.partition) ?? -1 };
    });
    return inSnapshot(plane, async (reader) => {
      checkHistoryOf(plane, { offsets: cut }, 'body.cut');
      const shown = await versionsShown(reader, candidates, timeMs);
      const places = candidates.map(({ item, keys: { partition } }) => ({ ...item, partition }));
      const erasures = await erasuresOf(reader, tenant, places, (partition) => {
        return plane.shards.at(partition).record.erasures !== undefined;
      });
      if (erasures.size > 0) {
        for (const [i, { item }] of candidates.entries()) {
          if (item.offset < (erasures.get(item.entity) ?? -1)) shown[i] = false;
        }
      }
      if (matches === undefined) return { numbers, shown };
      const matching = await entitiesMatching(
        reader,
        candidates.filter((_, i) => shown[i]),
        matches,
      );
      return {
        numbers,
        shown: shown.map((is, i) => is && matching.has(candidates[i]?.item.entity ?? '')),
      };
    });
  },
};

export const LIVENESS_PARTS = [livenessPart];

function filterOf(json: unknown): Matcher | undefined {
  if (json === undefined) return undefined;
  return compileFilter(parseFilter(json, { field: 'body.entityFilter' }));
}

/**
 * One batched read finds the newest version of each memory (or the id of a turn's event). Only what
 * has been replaced or forgotten since needs another: for when that version ended.
 */
async function versionsShown(
  reader: ViewReader,
  candidates: readonly Candidate[],
  timeMs: number,
): Promise<boolean[]> {
  const rows = await reader.getMany(
    candidates.map(({ item, keys }) =>
      toKey(
        item.turn ? keys.id(item.eventId, item.entity) : keys.memory(item.entity, item.memoryId),
      ),
    ),
  );
  const live: boolean[] = new Array(candidates.length).fill(false);
  const ended: number[] = [];
  for (const [i, { item, cutOffset }] of candidates.entries()) {
    const row = rows[i] ?? null;
    if (item.offset > cutOffset) continue;
    if (item.turn) {
      live[i] = row !== null && decodeId(row).offset === item.offset;
      continue;
    }
    const memory = row === null ? undefined : decodeMemory(row);
    if (memory?.offset === item.offset) {
      live[i] = !isExpired(memory.expiresMs, timeMs) && isOfEvent(memory.json, item.eventId);
    } else ended.push(i);
  }
  if (ended.length === 0) return live;
  const ends = await reader.getMany(
    ended.map((i) => {
      const { item, keys } = candidates[i] as Candidate;
      return toKey(keys.until(item.entity, item.offset));
    }),
  );
  for (const [n, i] of ended.entries()) {
    const row = ends[n];
    if (!row) continue;
    const { until, expiresMs } = decodeUntil(row);
    live[i] = until > (candidates[i] as Candidate).cutOffset && !isExpired(expiresMs, timeMs);
  }
  return live;
}

function isOfEvent(json: Buffer, eventId: string): boolean {
  return json.includes(`"eventId":${JSON.stringify(eventId)},`);
}

async function entitiesMatching(
  reader: ViewReader,
  candidates: readonly Candidate[],
  matches: Matcher,
): Promise<Set<string>> {
  const byEntity = new Map(candidates.map((candidate) => [candidate.item.entity, candidate]));
  const asked = [...byEntity.values()];
  const heads = await reader.getMany(asked.map(({ item, keys }) => toKey(keys.head(item.entity))));
  const matching = new Set<string>();
  for (const [i, { item, keys, cutOffset }] of asked.entries()) {
    const row = heads[i];
    if (!row) continue;
    const head = decodeHead(row);
    let attributes: Json | undefined;
    if (head.offset <= cutOffset) attributes = JSON.parse(head.attributes.toString()) as Json;
    else attributes = (await reader.stateAt(keys, item.entity, cutOffset))?.state.attributes;
    if (attributes !== undefined && matches(attributes)) matching.add(item.entity);
  }
  return matching;
}
