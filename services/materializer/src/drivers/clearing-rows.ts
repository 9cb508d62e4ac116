import { type Clearing, decodeClearing, encodeClearing } from '../domain/clearing.ts';
import { PLANE, ShardKeys, toKey } from '../domain/keys.ts';
import type { Shard } from '../shard.ts';
import { checkOpen, tableEnd } from './entity-pruner.ts';
import type { ViewStore } from './view-store.ts';

/** An entity of a shard, and how far clearing it is. */
export interface ShardClearing {
  readonly shard: Shard;
  readonly tenant: string;
  readonly entity: string;
  readonly clearing: Clearing;
}

const ROWS_MAX = 10_000;

/** How far clearing the erased entities of some shards is, of those that a choice takes. */
export async function clearingsOf(
  { rocks }: ViewStore,
  shards: Iterable<Shard>,
  isWanted: (clearing: Clearing) => boolean,
): Promise<ShardClearing[]> {
  const found: ShardClearing[] = [];
  for (const shard of shards) {
    if (shard.record.erasures === undefined) continue;
    const keys = planeKeys(shard);
    const prefix = keys.table('q');
    const range = { gte: toKey(prefix), lt: tableEnd(keys, 'q'), limit: ROWS_MAX };
    for (const { key, value } of await rocks.scanAll(range)) {
      const clearing = decodeClearing(value);
      if (!isWanted(clearing)) continue;
      const [tenant = '', entity = ''] = key.toString('latin1', prefix.length).split('\0');
      found.push({ shard, tenant, entity, clearing });
    }
  }
  return found;
}

/** Durable on return; nothing is written where the entity was erased once more meanwhile. */
export async function saveClearing(
  { rocks }: ViewStore,
  { shard, tenant, entity, clearing }: ShardClearing,
): Promise<void> {
  await shard.exclusively(async () => {
    checkOpen(shard);
    const key = toKey(planeKeys(shard).clearing(tenant, entity));
    const row = await rocks.get(key);
    if (row === null || decodeClearing(row).offset !== clearing.offset) return;
    await rocks.write(rocks.batch().put(key, encodeClearing(clearing)), { sync: true });
  });
}

function planeKeys({ partition }: Shard): ShardKeys {
  return new ShardKeys(PLANE, partition);
}
