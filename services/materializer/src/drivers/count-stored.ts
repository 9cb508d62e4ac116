import type { RocksStore } from '@memplane/rocks';
import { prefixRange, ShardKeys } from '../domain/keys.ts';
import { decodeHead } from '../domain/rows.ts';
import type { ShardRecord } from '../domain/shard-record.ts';
import { addStored, type StoredCounts, storedIn, storedOf } from '../domain/stored-counts.ts';

/**
 * The record of a shard that is not open yet with what its tenants have stored: by reading all heads where
 * the record does not tell, as after an upgrade or a split. The next batch writes it.
 */
export async function withStored(
  rocks: Pick<RocksStore, 'scan'>,
  partition: number,
  record: ShardRecord,
): Promise<ShardRecord> {
  const { applied, tenants } = record;
  if (storedOf(record) !== undefined) return record;
  const ofTenants: Record<string, StoredCounts> = {};
  for (const tenant of tenants) {
    const heads = prefixRange(new ShardKeys(tenant, partition).table('h'));
    for await (const rows of rocks.scan(heads)) {
      for (const { value } of rows) addStored(ofTenants, tenant, storedIn(decodeHead(value)));
    }
  }
  return { ...record, stored: { applied, ofTenants } };
}
