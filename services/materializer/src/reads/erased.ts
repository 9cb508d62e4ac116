import { MemplaneError } from '@memplane/contracts';
import { after, prefixRange, ShardKeys, toKey } from '../domain/keys.ts';
import { decodeErased, decodeHead } from '../domain/rows.ts';
import type { ViewReader } from '../drivers/view-reader.ts';
import type { Part } from './part.ts';
import { inSnapshot, keysOf } from './plane.ts';

/** Erased entities that an answer counts at most, of each partition. */
const COUNTED_MAX = 1_000;

/** @param sequence of the entity now, where that is known: its events go on being counted */
export function erasedError(entity: string, field: string, sequence?: number): MemplaneError {
  const extra = sequence === undefined ? { entity } : { entity, sequence };
  return new MemplaneError('erased', `${entity} was erased.`, { field, extra });
}

/**
 * Whether at a cut an entity has nothing to show since it was erased: all before its erasure is gone,
 * for cuts of the past too.
 * @param erasedAt of its newest erasure; -1: it never was
 * @param lastOffset of its newest event within the cut
 */
export function isErasedAt(erasedAt: number, cutOffset: number, lastOffset: number): boolean {
  return erasedAt >= 0 && (cutOffset < erasedAt || lastOffset <= erasedAt);
}

/** How many entities a read across entities leaves out at a cut, of those of one partition. */
export async function countErased(
  reader: ViewReader,
  keys: ShardKeys,
  cutOffset: number,
  entityPrefix: string,
): Promise<number> {
  const prefix = keys.table('z');
  const rows = await reader.rocks.scanAll({
    ...prefixRange(prefix + entityPrefix),
    ...(entityPrefix === '' ? { lt: toKey(after(prefix)) } : {}),
    snapshot: reader.snapshot,
    limit: COUNTED_MAX,
  });
  const heads = await reader.getMany(
    rows.map(({ key }) => toKey(keys.head(key.toString('latin1', prefix.length)))),
  );
  let erased = 0;
  for (const [i, { value }] of rows.entries()) {
    const head = heads[i];
    const lastOffset = head ? Math.min(decodeHead(head).offset, cutOffset) : -1;
    if (isErasedAt(decodeErased(value).offset, cutOffset, lastOffset)) erased++;
  }
  return erased;
}

interface ErasedQuery {
  readonly tenant: string;
  readonly entity: string;
}

/** The offset of an entity's newest erasure; -1: it never was. */
export const erasedPart: Part<ErasedQuery, number> = {
  name: 'erasedAt',
  run: (plane, _partitions, { tenant, entity }) =>
    inSnapshot(plane, async (reader) => {
      const [offset = -1] = await reader.erasedAt(keysOf(plane.log.info, tenant, entity), [entity]);
      return offset;
    }),
};

export const ERASED_PARTS = [erasedPart];

/** The erasures of the entities of some places, where their shards have any. */
export async function erasuresOf(
  reader: ViewReader,
  tenant: string,
  places: readonly { readonly partition: number; readonly entity: string }[],
  hasErasures: (partition: number) => boolean,
): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  const byPartition = Map.groupBy(places, ({ partition }) => partition);
  for (const [partition, own] of byPartition) {
    if (!hasErasures(partition)) continue;
    const entities = [...new Set(own.map(({ entity }) => entity))];
    const offsets = await reader.erasedAt(new ShardKeys(tenant, partition), entities);
    for (const [i, entity] of entities.entries()) {
      const offset = offsets[i] ?? -1;
      if (offset >= 0) found.set(entity, offset);
    }
  }
  return found;
}
