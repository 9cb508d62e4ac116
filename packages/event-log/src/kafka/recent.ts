import { RecentBatch, type RecentRecord } from '../recent-batch.ts';
import { decodeRecent } from './batch-decoder.ts';
import type { BoundsLookup } from './bounds.ts';
import type { Fetcher } from './fetcher.ts';

/** Offsets that are looked at per step, from the end of a partition backwards. */
const STEP_OFFSETS = 2_000;
/** The highest stamp of a partition is looked for among this many of its newest records. */
const HIGHEST_AMONG = 100;

/** Records of a partition in offset order, from `from` up to `to` (exclusive). */
async function recentBetween(
  fetcher: Fetcher,
  partition: number,
  from: number,
  to: number,
): Promise<RecentRecord[]> {
  const records: RecentRecord[] = [];
  for (let next = from; next < to; ) {
    const { batches, end } = await fetcher.fetch(partition, next);
    if (batches.length === 0 && next >= end) break;
    for (const batch of batches) {
      if (batch.from >= to) break;
      for (const record of decodeRecent(batch)) {
        if (record.offset >= next && record.offset < to) records.push(record);
      }
      next = batch.next;
    }
  }
  return records;
}

/** A partition's records from its end backwards. */
async function* backwards(
  fetcher: Fetcher,
  bounds: BoundsLookup,
  partition: number,
): AsyncGenerator<RecentRecord, void, undefined> {
  const { start, end } = await bounds.bounds(partition);
  for (let to = end; to > start; ) {
    const from = Math.max(start, to - STEP_OFFSETS);
    const records = await recentBetween(fetcher, partition, from, to);
    yield* records.reverse();
    to = from;
  }
}

/** The newest records of all partitions, merged by their stamps. */
export async function* recentRecords(
  fetcher: Fetcher,
  bounds: BoundsLookup,
  partitions: number,
  limit: number,
): AsyncGenerator<RecentBatch, void, undefined> {
  const sources = Array.from({ length: partitions }, (_, p) => backwards(fetcher, bounds, p));
  const heads = await Promise.all(sources.map(async (source) => (await source.next()).value));
  let batch = new RecentBatch(STEP_OFFSETS);
  for (let given = 0; given < limit; given++) {
    let newest = -1;
    for (const [i, head] of heads.entries()) {
      if (head && (newest < 0 || head.hlc > (heads[newest]?.hlc ?? 0n))) newest = i;
    }
    const record = heads[newest];
    if (!record) break;
    batch.add(record);
    if (batch.isFull) {
      yield batch;
      batch = new RecentBatch(STEP_OFFSETS);
    }
    heads[newest] = (await sources[newest]?.next())?.value;
  }
  if (batch.count > 0) yield batch;
}

/** The highest stamp among the newest records of each partition; 0 for an empty log. */
export async function highestHlcOf(
  fetcher: Fetcher,
  bounds: BoundsLookup,
  partitions: number,
): Promise<bigint> {
  const found = await Promise.all(
    Array.from({ length: partitions }, async (_, partition) => {
      const { start, end } = await bounds.bounds(partition);
      const from = Math.max(start, end - HIGHEST_AMONG);
      const records = await recentBetween(fetcher, partition, from, end);
      return records.reduce((highest, { hlc }) => (hlc > highest ? hlc : highest), 0n);
    }),
  );
  return found.reduce((highest, hlc) => (hlc > highest ? hlc : highest), 0n);
}
