import { after, PLANE, ShardKeys, toKey } from '../domain/keys.ts';
import { decodeHead } from '../domain/rows.ts';
import { entityOf, readTimeline, type TimelineEntry } from '../domain/timeline.ts';
import type { ViewReader } from '../drivers/view-reader.ts';

/** An entity whose newest change is at an offset. */
export interface ChangedView {
  readonly tenant: string;
  readonly entity: string;
  readonly offset: number;
}

const ROWS_PER_STEP = 16;

/**
 * The outbox of `memory-views`: the entities of a partition whose newest change is at or after an
 * offset, in the order of those changes. Compacted: of an entity only the newest change is told.
 * The batch rows, written with the state, are the outbox; what was superseded since is left out.
 */
export async function* changedViews(
  reader: ViewReader,
  partition: number,
  from: number,
): AsyncGenerator<ChangedView[]> {
  const keys = new ShardKeys(PLANE, partition);
  const range = {
    gte: toKey(keys.batch(from)),
    lt: toKey(after(keys.table('b'))),
    snapshot: reader.snapshot,
    chunkRows: ROWS_PER_STEP,
  };
  for await (const rows of reader.rocks.scan(range)) {
    const entries = rows
      .flatMap(({ value }) => readTimeline(value))
      .filter((entry) => entry.key !== '' && entry.offset >= from);
    const changed = await newestOnly(reader, partition, entries);
    if (changed.length > 0) yield changed;
  }
}

async function newestOnly(
  reader: ViewReader,
  partition: number,
  entries: readonly TimelineEntry[],
): Promise<ChangedView[]> {
  const last = new Map(entries.map((entry) => [entry.key, entry]));
  const wanted = [...last.values()].sort((a, b) => a.offset - b.offset);
  const heads = await reader.getMany(
    wanted.map((entry) => {
      const { tenant, entity } = entityOf(entry);
      return toKey(new ShardKeys(tenant, partition).head(entity));
    }),
  );
  return wanted.flatMap((entry, i) => {
    const row = heads[i];
    if (!row || decodeHead(row).offset !== entry.offset) return [];
    return [{ ...entityOf(entry), offset: entry.offset }];
  });
}
