import type { Head } from './rows.ts';
import type { ShardRecord } from './shard-record.ts';

/**
 * What a tenant has stored in a shard now: the sum over the heads of its entities, and nothing else. So it
 * is a function of the log up to what is applied, removing old history changes nothing of it, an erasure
 * leaves two bytes, and it can be counted anew from the heads alone.
 */
export interface StoredCounts {
  /** Memories that were neither replaced, forgotten nor erased; those too whose `ttl` has ended. */
  readonly memories: number;
  /** Of attributes and of those memories, as JSON in UTF-8. */
  readonly stateBytes: number;
}

export const NOTHING_STORED: StoredCounts = { memories: 0, stateBytes: 0 };

/** By tenant. */
export type StoredOfTenants = Readonly<Record<string, StoredCounts>>;

/**
 * The counts of a record as far as they are of what it has applied. The version before leaves them as they
 * were when it applies more, so that their offset tells.
 * @returns undefined where they are to be counted anew
 */
export function storedOf({ applied, stored }: ShardRecord): StoredOfTenants | undefined {
  if (applied < 0) return {};
  return stored?.applied === applied ? stored.ofTenants : undefined;
}

/** What one entity has. */
export function storedIn({ memoryCount, memoryBytes, attributes }: Head): StoredCounts {
  return { memories: memoryCount, stateBytes: attributes.length + memoryBytes };
}

/** Adds to a tenant's counts. */
export function addStored(
  ofTenants: Record<string, StoredCounts>,
  tenant: string,
  { memories, stateBytes }: StoredCounts,
): void {
  if (memories === 0 && stateBytes === 0) return;
  const before = Object.hasOwn(ofTenants, tenant) ? ofTenants[tenant] : undefined;
  ofTenants[tenant] = {
    memories: (before?.memories ?? 0) + memories,
    stateBytes: (before?.stateBytes ?? 0) + stateBytes,
  };
}
