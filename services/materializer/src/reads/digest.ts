import { createHash, type Hash } from 'node:crypto';
import { prefixRange, ShardKeys } from '../domain/keys.ts';
import { decodeHead, decodeMemory } from '../domain/rows.ts';
import type { ViewReader } from '../drivers/view-reader.ts';
import { allPartitions, gather, type Part } from './part.ts';
import { inSnapshot, type Plane, type Waiting } from './plane.ts';

interface ShardDigest {
  readonly partition: number;
  readonly appliedOffset: number;
  readonly entities: number;
  readonly digest: string;
}

/** Digests of all views, or one partition's: functions of the log up to what is applied. */
export async function digestViews(
  plane: Plane,
  only: number | undefined,
  wait: Waiting,
): Promise<unknown> {
  const partitions = only === undefined ? allPartitions(plane) : [only];
  const answers = await gather(plane, digestPart, { partitions, query: () => null, wait });
  const shards = answers.flat().sort((a, b) => a.partition - b.partition);
  const whole = createHash('sha256');
  for (const { partition, appliedOffset, digest } of shards) {
    whole.update(`${partition} ${appliedOffset} ${digest}\n`);
  }
  return { logId: plane.log.info.logId, digest: whole.digest('base64url'), shards };
}

/** Reading a shard from end to end takes its time. */
const DIGEST_TIMEOUT_MS = 10 * 60_000;

const digestPart: Part<null, readonly ShardDigest[]> = {
  name: 'digest',
  timeoutMs: DIGEST_TIMEOUT_MS,
  run: (plane, partitions) =>
    inSnapshot(plane, async (reader) => {
      const shards: ShardDigest[] = [];
      for (const partition of partitions) shards.push(await digestShard(reader, partition));
      return shards;
    }),
};

export const DIGEST_PARTS = [digestPart];

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
