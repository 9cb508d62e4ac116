import type { RocksStore, WriteBatch } from '@memplane/rocks';
import type { Change, CounterChange, KnownOp, Ref } from '../domain/port.ts';
import * as keys from './keys.ts';
import * as records from './records.ts';

// The operation ids of counters: one record each, with its place in the order of stamps, and their
// number. Those of before had a ring in place of the order, which is put right when it is met.

export async function opCounts(rocks: RocksStore, refs: readonly Ref[]): Promise<number[]> {
  const found = await rocks.getMany(refs.map((ref) => keys.opCountKey(ref)));
  return Promise.all(
    refs.map((ref, index) => {
      const record = found[index];
      return record ? records.readPairRecord(record).number : putInOrder(rocks, ref);
    }),
  );
}

export async function oldestOps(rocks: RocksStore, ref: Ref, limit: number): Promise<KnownOp[]> {
  const rows = await rocks.scanAll({ ...keys.opOrderRange(ref), limit, values: false });
  const opIds = rows.map(({ key }) => keys.opIdOfOrderKey(ref, key));
  const found = await rocks.getMany(opIds.map((opId) => keys.opKey(ref, opId)));
  return opIds.flatMap((opId, index) => {
    const record = found[index];
    return record ? [{ opId, claim: records.readClaimRecord(record) }] : [];
  });
}

/** Puts into the batch that these are forgotten. Nobody else writes. */
export async function forgetOps(
  rocks: RocksStore,
  batch: WriteBatch,
  ref: Ref,
  ended: readonly KnownOp[],
): Promise<void> {
  const [count = 0] = await opCounts(rocks, [ref]);
  for (const { opId, claim } of ended) {
    batch.delete(keys.opKey(ref, opId));
    batch.delete(keys.opOrderKey(ref, claim.hlc, opId));
  }
  batch.put(keys.opCountKey(ref), records.pairRecord(count - ended.length, 0n));
}

export async function putOps(
  rocks: RocksStore,
  batch: WriteBatch,
  changes: readonly Change[],
): Promise<void> {
  const users = changes.filter(
    (change): change is CounterChange => change.type === 'counter' && change.ops.length > 0,
  );
  if (users.length === 0) return;
  const counts = await opCounts(
    rocks,
    users.map(({ ref }) => ref),
  );
  users.forEach(({ ref, ops }, index) => {
    let count = counts[index] ?? 0;
    for (const { opId, claim, before } of ops) {
      if (before === undefined) count++;
      else batch.delete(keys.opOrderKey(ref, before.hlc, opId));
      batch.put(keys.opKey(ref, opId), records.claimRecord(claim));
      batch.put(keys.opOrderKey(ref, claim.hlc, opId), records.sealed());
    }
    batch.put(keys.opCountKey(ref), records.pairRecord(count, 0n));
  });
}

/** @returns how many there are; most often none, of a counter that is new to operation ids */
async function putInOrder(rocks: RocksStore, ref: Ref): Promise<number> {
  const range = keys.opRange(ref);
  const batch = rocks.batch();
  let count = 0;
  for await (const rows of rocks.scan(range)) {
    for (const { key, value } of rows) {
      const { hlc } = records.readClaimRecord(value);
      batch.put(
        keys.opOrderKey(ref, hlc, key.toString('utf8', range.gte.length)),
        records.sealed(),
      );
      count++;
    }
  }
  if (count === 0) return 0;
  const ring = keys.formerOpRingRange(ref);
  batch.deleteRange(ring.gte, ring.lt);
  batch.delete(keys.formerOpCountKey(ref));
  batch.put(keys.opCountKey(ref), records.pairRecord(count, 0n));
  await rocks.write(batch, { sync: true });
  return count;
}
