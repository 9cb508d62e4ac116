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
    run: async (plane, partitions) => {
      const shards = partitions.map((p) => plane.shards.at(p));
      const sizes = await sizesOf(plane, shards);
      return Promise.all(shards.map((shard, i) => describe(plane, shard, owner, sizes[i] ?? 0)));
    },
  };
}

async function describe(
  plane: Plane,
  shard: Shard,
  owner: string,
  sizeBytes: number,
): Promise<ShardDescription> {
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
    sizeBytes,
  };
}

function sizesOf(plane: Plane, shards: readonly Shard[]): Promise<number[]> {
  const ranges = shards.map(({ partition, record }) =>
    [PLANE, ...record.tenants.slice(0, TENANTS_SIZED_MAX)].map((tenant) =>
      shardRange(tenant, partition),
    ),
  );
  return plane.store.read((rocks) => rocks.approximateSizes(ranges));
}
