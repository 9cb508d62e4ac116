import { DEFAULT_TENANT, type TenantUsage, type Usage } from '@memplane/contracts';
import { countsOf, type ShardRecord } from '../domain/shard-record.ts';
import { NOTHING_STORED, storedOf } from '../domain/stored-counts.ts';
import { allPartitions, gather, type Part } from './part.ts';
import type { Plane, Waiting } from './plane.ts';

type Usages = Usage['tenants'];

/** What each tenant has stored, over all partitions. @throws MemplaneError `owner_moving` */
export async function usageOf(plane: Plane, wait: Waiting): Promise<Usage> {
  const question = { partitions: allPartitions(plane), query: () => null, wait };
  return { tenants: sumOf(await gather(plane, usagePart, question)) };
}

const usagePart: Part<null, Usages> = {
  name: 'usage',
  run: (plane, partitions) => sumOf(partitions.map((p) => usagesOf(plane.shards.at(p).record))),
};

export const USAGE_PARTS = [usagePart];

function usagesOf(record: ShardRecord): Usages {
  const stored = storedOf(record) ?? {};
  const tenants = new Set([DEFAULT_TENANT, ...record.tenants]);
  const usages = Array.from(tenants, (tenant): [string, TenantUsage] => {
    const { eventsTotal } = countsOf(record, tenant);
    const own = Object.hasOwn(stored, tenant) ? stored[tenant] : undefined;
    return [tenant, { eventsTotal, ...(own ?? NOTHING_STORED) }];
  });
  return Object.fromEntries(usages);
}

function sumOf(parts: readonly Usages[]): Usages {
  const sums = new Map<string, TenantUsage>();
  for (const [tenant, usage] of parts.flatMap((part) => Object.entries(part))) {
    const sum = sums.get(tenant);
    sums.set(tenant, sum === undefined ? usage : added(sum, usage));
  }
  return Object.fromEntries(sums);
}

function added(a: TenantUsage, b: TenantUsage): TenantUsage {
  return {
    eventsTotal: a.eventsTotal + b.eventsTotal,
    memories: a.memories + b.memories,
    stateBytes: a.stateBytes + b.stateBytes,
  };
}
