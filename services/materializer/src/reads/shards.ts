import { formatHlc } from '@memplane/clock';
import { PLANE, shardRange } from '../domain/keys.ts';
import type { Shard } from '../shard.ts';
import type { Plane } from './plane.ts';

/** Tenants whose bytes are summed up for one shard; more would only make the call slow. */
const TENANTS_SIZED_MAX = 64;

/** Every shard of this instance: how far it is, how it does, how large it is. */
export async function listShards(plane: Plane, owner: string): Promise<unknown> {
  const { logId, epoch } = plane.log.info;
  const shards = await Promise.all([...plane.shards].map((shard) => describe(plane, shard, owner)));
  return { logId, epoch, shards };
}

async function describe(plane: Plane, shard: Shard, owner: string): Promise<unknown> {
  const { partition, state, problem } = shard;
  const { end } = await plane.log.bounds(partition);
  const { record } = shard;
  return {
    partition,
    owner,
    state,
    ...(problem === undefined ? {} : { problem: problem.message }),
    appliedOffset: record.applied,
    lag: Math.max(0, end - 1 - record.applied),
    hlc: formatHlc(record.maxHlc),
    eventsTotal: record.eventsTotal,
    activeSessions: record.activeSessions,
    duplicates: record.duplicates,
    rejected: record.rejected,
    historyStart: record.historyStart,
    sizeBytes: await sizeOf(plane, partition, record.tenants),
  };
}

async function sizeOf(
  plane: Plane,
  partition: number,
  tenants: readonly string[],
): Promise<number> {
  const names = [PLANE, ...tenants.slice(0, TENANTS_SIZED_MAX)];
  const sizes = await plane.store.read((rocks) =>
    Promise.all(
      names.map((tenant) => {
        const { gte, lt } = shardRange(tenant, partition);
        return rocks.approximateSize(gte, lt);
      }),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
