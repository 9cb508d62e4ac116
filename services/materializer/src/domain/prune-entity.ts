import type { CloudEvent } from '@memplane/contracts';
import { parseCause } from './causation.ts';
import type { ShardKeys } from './keys.ts';
import { encodeSnapshot } from './rows.ts';
import type { EntityState } from './state.ts';

/** A row of an entity's history that is before the new start. */
export type PastRow = { readonly key: string; readonly offset: number } & (
  | { readonly kind: 'state' }
  | { readonly kind: 'event'; readonly rejected: boolean; readonly event: CloudEvent }
);

/** What to remove of one entity, and what to write instead. */
export interface EntityPrune {
  readonly deletes: readonly string[];
  /** Rows of the duplicate filter: to be removed only where they still name a removed event. */
  readonly ids: readonly string[];
  /** The stored state that reads at and after the start fold from. */
  readonly base: { readonly key: string; readonly value: Buffer } | undefined;
  /** Events that go. */
  readonly events: number;
}

/** Whether an event brings a version of a memory, whose row tells whether it may be shown yet. */
export function bringsMemory(row: PastRow): row is PastRow & { kind: 'event' } {
  if (row.kind === 'state' || row.rejected) return false;
  const { memory } = row.event.data;
  return memory !== undefined && !('forgotten' in memory);
}

/**
 * Decides about the next rows of an entity, all before the new start. The state after the last of
 * them stays, stored; events stay only where they bring a memory that can still be shown, since an
 * index that is built anew needs their vector and text.
 * @param rows in order
 * @param olderState the key of the stored state before them, if there is one
 * @param state after the last row; undefined where nothing of the entity was applied
 * @param isShown whether a memory version that began at an offset is live at, or after, the start
 */
export function planEntityPrune(
  keys: ShardKeys,
  entity: string,
  rows: readonly PastRow[],
  olderState: string | undefined,
  state: EntityState | undefined,
  isShown: (offset: number) => boolean,
): EntityPrune {
  const last = rows.at(-1);
  const deletes: string[] = [];
  const ids: string[] = [];
  let events = 0;
  for (const row of rows) {
    if (row.kind === 'state') {
      if (row !== last) deletes.push(row.key);
      continue;
    }
    const { id, causationid } = row.event;
    if (!row.rejected) ids.push(keys.id(id, entity));
    const cause = causationid === undefined ? undefined : parseCause(causationid);
    if (cause !== undefined && !row.rejected) {
      deletes.push(keys.effect(cause.id, cause.entity ?? '', entity, row.offset));
    }
    if (bringsMemory(row) && isShown(row.offset)) continue;
    deletes.push(row.key);
    events++;
  }
  if (last !== undefined && olderState !== undefined) deletes.push(olderState);
  const isWritten = last === undefined || last.kind === 'state' || state === undefined;
  const base = isWritten ? undefined : baseOf(keys, entity, last.offset, state);
  return { deletes, ids, base, events };
}

function baseOf(
  keys: ShardKeys,
  entity: string,
  offset: number,
  { sequence, hlc, attributes, memories }: EntityState,
): { key: string; value: Buffer } {
  const json = JSON.stringify({ attributes, memories: [...memories.values()] });
  return { key: keys.snapshot(entity, offset), value: encodeSnapshot(sequence, hlc, json) };
}
