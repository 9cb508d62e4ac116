import type { CloudEvent } from '@memplane/contracts';
import { after, type ShardKeys, toKey, toKeys } from '../domain/keys.ts';
import {
  bringsMemory,
  type EntityPrune,
  type PastRow,
  planEntityPrune,
} from '../domain/prune-entity.ts';
import type { PruneProgress } from '../domain/retention.ts';
import { decodeHistory, decodeId, decodeMemory, decodeUntil } from '../domain/rows.ts';
import { ownerMoving, type Shard } from '../shard.ts';
import { ViewReader } from './view-reader.ts';
import type { ViewStore } from './view-store.ts';

export interface PruneBounds {
  readonly history_prune_rows_max: number;
  readonly history_prune_bytes_max: number;
}

const KEYS_PER_STEP = 64;

/** Where an entity's removal is: what to read next, and the stored state that it leaves behind. */
interface Cursor {
  readonly next: string;
  readonly olderState: string | undefined;
}

/** Removes what one entity has before the new start, a bounded number of rows at a time. */
export class EntityPruner {
  readonly #store: ViewStore;
  readonly #bounds: PruneBounds;

  constructor(store: ViewStore, bounds: PruneBounds) {
    this.#store = store;
    this.#bounds = bounds;
  }

  /** Yields after each write, with the number of events that went. */
  async *run(
    shard: Shard,
    keys: ShardKeys,
    entity: string,
    progress: PruneProgress,
  ): AsyncGenerator<number> {
    let cursor: Cursor | undefined = {
      next: keys.event(entity, progress.from),
      olderState: await this.#olderState(keys, entity, progress.from),
    };
    while (cursor !== undefined) {
      const from: Cursor = cursor;
      const step = await this.#store.read((rocks, snapshot) =>
        this.#plan(new ViewReader(rocks, snapshot), keys, entity, from, progress.to),
      );
      if (step.plan !== undefined) {
        await this.#write(shard, step.plan, progress.to);
        yield step.plan.events;
      }
      cursor = step.cursor;
    }
  }

  /** The stored state before an offset; an earlier removal has left one at most. */
  async #olderState(keys: ShardKeys, entity: string, from: number): Promise<string | undefined> {
    const range = {
      gte: toKey(keys.histories(entity)),
      lt: toKey(keys.event(entity, from)),
      reverse: true,
      values: false,
      chunkRows: KEYS_PER_STEP,
    };
    for await (const rows of this.#store.rocks.scan(range)) {
      const found = rows.find(({ key }) => key[key.length - 1] === 1);
      if (found !== undefined) return found.key.toString('latin1');
    }
    return undefined;
  }

  async #plan(
    reader: ViewReader,
    keys: ShardKeys,
    entity: string,
    { next, olderState }: Cursor,
    to: number,
  ): Promise<{ plan: EntityPrune | undefined; cursor: Cursor | undefined }> {
    const { rows, isEnd } = await this.#rows(reader, keys, entity, next, to);
    const last = rows.at(-1);
    if (last === undefined) return { plan: undefined, cursor: undefined };
    const shown = await shownOffsets(reader, keys, entity, rows, to);
    const past =
      last.kind === 'state' ? undefined : await reader.stateAt(keys, entity, last.offset);
    const plan = planEntityPrune(keys, entity, rows, olderState, past?.state, (offset) =>
      shown.has(offset),
    );
    if (isEnd) return { plan, cursor: undefined };
    const left = last.kind === 'state' ? last.key : plan.base?.key;
    // Beyond a stored state at the same offset, which the one that is left replaces.
    const beyond = keys.event(entity, last.offset + 1);
    return { plan, cursor: { next: beyond, olderState: left ?? olderState } };
  }

  async #rows(
    { rocks, snapshot }: ViewReader,
    keys: ShardKeys,
    entity: string,
    next: string,
    to: number,
  ): Promise<{ rows: PastRow[]; isEnd: boolean }> {
    const { history_prune_rows_max: rowsMax, history_prune_bytes_max: bytesMax } = this.#bounds;
    const range = { gte: toKey(next), lt: toKey(keys.event(entity, to)), snapshot };
    const offsetAt = keys.histories(entity).length;
    const found: PastRow[] = [];
    let bytes = 0;
    for await (const chunk of rocks.scan({ ...range, chunkRows: Math.min(rowsMax, 16) })) {
      for (const { key, value } of chunk) {
        if (found.length > 0 && (found.length >= rowsMax || bytes + value.length > bytesMax)) {
          return { rows: found, isEnd: false };
        }
        bytes += value.length;
        found.push(pastRow(key, value, offsetAt));
      }
    }
    return { rows: found, isEnd: true };
  }

  /** Ids may be taken anew by an event that is being applied, so they are looked at once more. */
  #write(shard: Shard, plan: EntityPrune, to: number): Promise<void> {
    return shard.exclusively(async () => {
      checkOpen(shard);
      const { rocks } = this.#store;
      const batch = rocks.batch();
      const ids = toKeys(plan.ids);
      const known = await rocks.getMany(ids);
      for (const [i, row] of known.entries()) {
        if (row !== null && decodeId(row).offset < to) batch.delete(ids[i] as Uint8Array);
      }
      for (const key of toKeys(plan.deletes)) batch.delete(key);
      if (plan.base !== undefined) batch.put(toKey(plan.base.key), plan.base.value);
      await rocks.write(batch);
    });
  }
}

function pastRow(key: Buffer, value: Buffer, offsetAt: number): PastRow {
  const common = { key: key.toString('latin1'), offset: key.readUIntBE(offsetAt, 6) };
  if (key[key.length - 1] !== 0) return { kind: 'state', ...common };
  const { rejected, event: json } = decodeHistory(value);
  const event = JSON.parse(json.toString()) as CloudEvent;
  return { kind: 'event', ...common, rejected, event };
}

/** The offsets of memory versions that are live, or ended at or after the new start. */
async function shownOffsets(
  reader: ViewReader,
  keys: ShardKeys,
  entity: string,
  rows: readonly PastRow[],
  to: number,
): Promise<Set<number>> {
  const versions = rows.filter(bringsMemory);
  const [live, ended] = await Promise.all([
    reader.getMany(
      versions.map(({ event }) => toKey(keys.memory(entity, event.data.memory?.id ?? ''))),
    ),
    reader.getMany(versions.map(({ offset }) => toKey(keys.until(entity, offset)))),
  ]);
  const shown = new Set<number>();
  for (const [i, { offset }] of versions.entries()) {
    const [row, end] = [live[i], ended[i]];
    const isLive = row ? decodeMemory(row).offset === offset : false;
    if (isLive || (end ? decodeUntil(end).until >= to : false)) shown.add(offset);
  }
  return shown;
}

/** @throws MemplaneError `owner_moving` for a shard that was closed: nothing may be written any more */
export function checkOpen({ partition, state }: Shard): void {
  if (state === 'closed') throw ownerMoving(partition);
}

/** The end of a table's rows, as a key. */
export function tableEnd(keys: ShardKeys, table: Parameters<ShardKeys['table']>[0]): Buffer {
  return toKey(after(keys.table(table)));
}
