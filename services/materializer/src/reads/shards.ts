import { formatHlc } from '@memplane/clock';
import { PLANE, shardRange } from '../domain/keys.ts';
import type { Shard } from '../shard.ts';
import { allPartitions, gatherReachable, type Part } from './part.ts';
import type { Plane, Waiting } from './plane.ts';

/** Tenants whose bytes are summed up for one shard; more would only make the call slow. */
const TENANTS_SIZED_MAX = 64;

/** Every shard: its owner, how far it is, how it does, how large it is. */
export async function listShards(plane: Plane, owner: string, wait: Waiting): Promise<unknown> {
  const { logId, epoch } = plane.log.info;
  const question = { partitions: allPartitions(plane), query: () => null, wait };
  const { answers, missing } = await gatherReachable(plane, shardsPart(owner), question);
  const shards = answers.flat().sort((a, b) => a.partition - b.partition);
  return { logId, epoch, shards, ...(missing.length === 0 ? {} : { moving: missing }) };
}

interface ShardDescription {
  readonly partition: number;
  readonly [detail: string]: unknown;
}

/** @param owner how this instance is called */
export function shardsPart(owner: string): Part<null, readonly ShardDescription[]> {
  return {
    name: 'shards',
    run: (plane, partitions) =>
      Promise.all(partitions.map((p) => describe(plane, plane.shards.at(p), owner))),
  };
}

async function describe(plane: Plane, shard: Shard, owner: string): Promise<ShardDescription> {
  const { partition, state, problem } = shard;
  const { end } = await plane.log.bounds(partition);
  const { record } = shard;
  return {
    partition,
    owner,
    ownerEpoch: shard.ownerEpoch,
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
