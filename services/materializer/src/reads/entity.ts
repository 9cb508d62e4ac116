import { formatHlc, hlcToMs, parseHlc } from '@memplane/clock';
import { MemplaneError, partitionKey } from '@memplane/contracts';
import { parseAsOf } from '../domain/as-of.ts';
import type { ShardKeys } from '../domain/keys.ts';
import type { PastState } from '../domain/past-state.ts';
import { decodeId } from '../domain/rows.ts';
import type { ShardRecord } from '../domain/shard-record.ts';
import { type EntityState, expiresMs, isExpired, type MemoryView } from '../domain/state.ts';
import type { WorkingEntity } from '../domain/working-entity.ts';
import type { ViewReader } from '../drivers/view-reader.ts';
import type { Shard } from '../shard.ts';
import {
  checkHistoryOf,
  type ResolvedCut,
  resolveAsOf,
  tokenOf,
  waitForTokens,
  waitHere,
} from './cuts.ts';
import { erasedError, isErasedAt } from './erased.ts';
import { askOwner, type Part } from './part.ts';
import { inSnapshot, keysOf, type Plane, type Waiting } from './plane.ts';

export interface EntityRequest {
  readonly tenant: string;
  readonly entity: string;
  readonly after?: string | readonly string[] | undefined;
  readonly asOf?: string | undefined;
}

/** The parts of an entity's answer; attributes and memories are JSON already. */
interface EntityParts {
  readonly attributes: string;
  readonly memories: string;
  readonly sequence: number;
  readonly offset: number;
  readonly hlc: bigint;
}

/**
 * Reads an entity as it is, or was, as JSON text.
 * @throws MemplaneError `not_found` when it has no events at the cut, `erased`, and what cuts throw
 */
export function readEntity(
  plane: Plane,
  { wait, ...query }: EntityRequest & { readonly wait: Waiting },
): Promise<string> {
  const { partition } = keysOf(plane.log.info, query.tenant, query.entity);
  return askOwner(plane, entityPart, partition, query, wait);
}

const entityPart: Part<EntityRequest, string> = {
  name: 'entity',
  run: (plane, [partition = 0], request, wait) => readHere(plane, partition, request, wait),
};

export const ENTITY_PARTS = [entityPart];

async function readHere(
  plane: Plane,
  partition: number,
  request: EntityRequest,
  wait: Waiting,
): Promise<string> {
  const { tenant, entity, after, asOf } = request;
  await waitForTokens(plane, after, wait, partition);
  if (asOf !== undefined) {
    const own = await readOwnPast(plane, request, asOf);
    if (own !== undefined) return own;
    const cut = await resolveAsOf(plane, { asOf, tenant, entity, wait });
    await waitHere(plane, cut.offsets, wait, [partition]);
    const parts = await inSnapshot(plane, (reader) => {
      checkHistoryOf(plane, cut, 'query.asOf');
      return partsAt(plane, reader, request, cut);
    });
    return answer(plane, entity, parts, cut, partition);
  }
  const shard = plane.shards.at(partition);
  const known = knownLatest(shard, request);
  const memories = known?.liveMemories;
  if (known !== undefined && memories !== undefined) {
    const { attributesJson: attributes, sequence, hlc } = known;
    return latestAnswer(plane, partition, entity, shard, { attributes, memories, sequence, hlc });
  }
  return inSnapshot(plane, async (reader) => {
    const keys = keysOf(plane.log.info, tenant, entity);
    const { head, shard } = await reader.head(keys, entity);
    if (head === undefined || shard === undefined) throw notFound(entity, shard?.applied ?? -1);
    await refuseErased(shard, reader, keys, entity, shard.applied, head.offset, head.sequence);
    const memories =
      head.memoryCount === 0 ? [] : await reader.memories(keys, entity, head.memoryCount);
    const attributes = head.attributes.toString();
    return latestAnswer(plane, partition, entity, shard, { ...head, attributes, memories });
  });
}

/**
 * What was changed last is still in memory, as it is in the store: no thread has to be woken up and
 * waited for. Where something was erased the store is asked.
 */
function knownLatest(
  { latest, record }: Shard,
  { tenant, entity }: EntityRequest,
): WorkingEntity | undefined {
  return record.erasures === undefined ? latest?.latest(partitionKey(tenant, entity)) : undefined;
}

/** An entity as it is, with all of its memories, oldest first, those that have expired too. */
interface LatestState {
  readonly attributes: string;
  readonly memories: readonly { readonly expiresMs: number; readonly json: Buffer | string }[];
  readonly sequence: number;
  readonly hlc: bigint;
}

function latestAnswer(
  plane: Plane,
  partition: number,
  entity: string,
  { applied }: Pick<ShardRecord, 'applied'>,
  { attributes, memories, sequence, hlc }: LatestState,
): string {
  const timeMs = plane.now();
  const offsets = appliedEverywhere(plane);
  offsets.set(partition, applied);
  const live = memories.filter((memory) => !isExpired(memory.expiresMs, timeMs));
  const parts: EntityParts = {
    attributes,
    memories: `[${live.map(({ json }) => json.toString()).join(',')}]`,
    sequence,
    offset: applied,
    hlc,
  };
  return answer(plane, entity, parts, { offsets, timeMs }, partition);
}

/** What is applied in each partition; of those that are not here, what is known of it. */
function appliedEverywhere({ shards, peers }: Plane): Map<number, number> {
  const offsets = new Map<number, number>();
  for (let partition = 0; partition < shards.partitions; partition++) {
    const applied = shards.get(partition)?.applied ?? peers?.appliedOf(partition);
    if (applied !== undefined) offsets.set(partition, applied);
  }
  return offsets;
}

/**
 * An offset or an event of the entity itself: one snapshot serves for cut and state, and the event at
 * the cut tells the newest stamp. Nothing where the general way has to be gone.
 */
async function readOwnPast(
  plane: Plane,
  { tenant, entity }: EntityRequest,
  text: string,
): Promise<string | undefined> {
  const asOf = parseAsOf(text, 'query.asOf');
  const isOwn = asOf.kind === 'event' || (asOf.kind === 'offset' && asOf.epoch === undefined);
  if (!isOwn) return undefined;
  const keys = keysOf(plane.log.info, tenant, entity);
  const { partition } = keys;
  const shard = plane.shards.at(partition);
  const { applied, record } = shard;
  if (asOf.kind === 'offset' && asOf.offset >= record.historyStart) {
    const known = plane.known?.stateAt(shard, keys, entity, asOf.offset);
    if (known !== undefined) return pastAnswer(plane, entity, partition, known);
  }
  return inSnapshot(plane, async (reader) => {
    const { historyStart } = plane.shards.at(partition).record;
    let offset: number;
    if (asOf.kind === 'offset') offset = asOf.offset;
    else {
      const row = await reader.get(keys.id(asOf.id, entity));
      if (row === null) {
        // Of an erased entity nobody can tell any more whether it had such an event.
        const [erasedAt = -1] = await reader.erasedAt(keys, [entity]);
        if (erasedAt >= 0) throw erasedError(entity, 'query.asOf');
        return undefined;
      }
      offset = decodeId(row).offset;
    }
    if (offset > applied || offset < historyStart) return undefined;
    const read = await reader.pastAt(keys, entity, offset);
    const { past } = read;
    if (past?.rowOffset !== offset) return undefined;
    const { record } = plane.shards.at(partition);
    await refuseErased(record, reader, keys, entity, offset, past.state.offset);
    plane.known?.keep(shard, keys, entity, read);
    return pastAnswer(plane, entity, partition, past);
  });
}

function pastAnswer(plane: Plane, entity: string, partition: number, past: PastState): string {
  const { state, rowOffset: offset, rowMaxHlc } = past;
  const timeMs = hlcToMs(rowMaxHlc);
  const parts = partsOf(state, offset, timeMs);
  return answer(
    plane,
    entity,
    parts,
    { offsets: new Map([[partition, offset]]), timeMs },
    partition,
  );
}

function partsOf(state: EntityState, offset: number, timeMs: number): EntityParts {
  return {
    attributes: JSON.stringify(state.attributes),
    memories: JSON.stringify(liveViews(state.memories.values(), timeMs)),
    sequence: state.sequence,
    offset,
    hlc: state.hlc,
  };
}

async function partsAt(
  plane: Plane,
  reader: ViewReader,
  { tenant, entity }: EntityRequest,
  cut: ResolvedCut,
): Promise<EntityParts> {
  const keys = keysOf(plane.log.info, tenant, entity);
  const offset = cut.offsets.get(keys.partition) ?? -1;
  const past = await reader.stateAt(keys, entity, offset);
  const { record } = plane.shards.at(keys.partition);
  await refuseErased(record, reader, keys, entity, offset, past?.state.offset ?? -1);
  if (past === undefined) throw notFound(entity, offset);
  return partsOf(past.state, offset, cut.timeMs);
}

/**
 * Where nothing of the shard was erased by then, there is nothing to look for.
 * @param shard as of the cut, or later
 * @throws MemplaneError `erased`
 */
async function refuseErased(
  { erasures }: ShardRecord,
  reader: ViewReader,
  keys: ShardKeys,
  entity: string,
  cutOffset: number,
  lastOffset: number,
  sequence?: number,
): Promise<void> {
  if (erasures === undefined) return;
  const [erasedAt = -1] = await reader.erasedAt(keys, [entity]);
  if (isErasedAt(erasedAt, cutOffset, lastOffset)) throw erasedError(entity, 'path.id', sequence);
}

/** Those whose `ttl` has not ended at a time, in the order of their events. */
export function liveViews(memories: Iterable<MemoryView>, timeMs: number): MemoryView[] {
  return [...memories]
    .filter(
      ({ ttl, hlc }) => ttl === undefined || !isExpired(expiresMs(ttl, parseHlc(hlc)), timeMs),
    )
    .sort((a, b) => a.offset - b.offset);
}

function answer(
  plane: Plane,
  entity: string,
  parts: EntityParts,
  cut: ResolvedCut,
  partition: number,
): string {
  const asOf = JSON.stringify({
    epoch: plane.log.info.epoch,
    partition,
    offset: parts.offset,
    hlc: formatHlc(parts.hlc),
  });
  return `{"entity":${JSON.stringify(entity)},"attributes":${parts.attributes},"memories":${parts.memories},"sequence":${parts.sequence},"asOf":${asOf},"time":"${new Date(cut.timeMs).toISOString()}","timeMs":${cut.timeMs},"token":"${tokenOf(plane, cut)}"}`;
}

export function notFound(entity: string, offset: number): MemplaneError {
  return new MemplaneError('not_found', `${entity} has no events at this point.`, {
    field: 'path.id',
    extra: { offset },
  });
}
