import { createHash, type Hash } from 'node:crypto';
import { prefixRange, ShardKeys } from '../domain/keys.ts';
import { decodeHead, decodeMemory } from '../domain/rows.ts';
import type { ViewReader } from '../drivers/view-reader.ts';
import { inSnapshot, type Plane } from './plane.ts';

interface ShardDigest {
  readonly partition: number;
  readonly appliedOffset: number;
  readonly entities: number;
  readonly digest: string;
}

/** Digests of all views, or one partition's: functions of the log up to what is applied. */
export function digestViews(plane: Plane, only: number | undefined): Promise<unknown> {
  return inSnapshot(plane, async (reader) => {
    const shards: ShardDigest[] = [];
    for (const { partition } of plane.shards.all()) {
      if (only !== undefined && only !== partition) continue;
      shards.push(await digestShard(reader, partition));
    }
    const whole = createHash('sha256');
    for (const { partition, appliedOffset, digest } of shards) {
      whole.update(`${partition} ${appliedOffset} ${digest}\n`);
    }
    return { logId: plane.log.info.logId, digest: whole.digest('base64url'), shards };
  });
}

async function digestShard(reader: ViewReader, partition: number): Promise<ShardDigest> {
  const records = await reader.shards(partition + 1);
  const record = records[partition];
  const hash = createHash('sha256');
  let entities = 0;
  for (const tenant of [...(record?.tenants ?? [])].sort()) {
    const keys = new ShardKeys(tenant, partition);
    entities += await digestHeads(reader, keys, hash);
    await digestMemories(reader, keys, hash);
  }
  const appliedOffset = record?.applied ?? -1;
  return { partition, appliedOffset, entities, digest: hash.digest('base64url') };
}

async function digestHeads(reader: ViewReader, keys: ShardKeys, hash: Hash): Promise<number> {
  let entities = 0;
  const range = prefixRange(keys.table('h'));
  for await (const rows of reader.rocks.scan({ ...range, snapshot: reader.snapshot })) {
    for (const { key, value } of rows) {
      const { sequence, offset, hlc, sessionActive, attributes } = decodeHead(value);
      hash.update(key);
      hash.update(`\n${sequence} ${offset} ${hlc} ${sessionActive}\n`);
      hash.update(attributes);
      entities++;
    }
  }
  return entities;
}

async function digestMemories(reader: ViewReader, keys: ShardKeys, hash: Hash): Promise<void> {
  const range = prefixRange(keys.table('m'));
  for await (const rows of reader.rocks.scan({ ...range, snapshot: reader.snapshot })) {
    for (const { key, value } of rows) {
      hash.update(key);
      hash.update(decodeMemory(value).json);
    }
  }
}
