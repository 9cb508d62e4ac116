import type { BlobStore } from '@memplane/blob-store';
import { MemplaneError } from '@memplane/contracts';
import type { LogInfo } from '@memplane/event-log';
import { snapshotName } from '../domain/archive-names.ts';
import { emptiedRow } from '../domain/emptied-rows.ts';
import { PLANE, ShardKeys, toKey } from '../domain/keys.ts';
import { decodeShard, encodeShard } from '../domain/shard-record.ts';
import { decodeEntries, encodeEntries, type SnapshotEntry } from '../domain/snapshot-format.ts';
import { writeManifest } from './manifests.ts';
import type { SnapshotManifest } from './shard-snapshots.ts';
import { compressed, decompressed } from './snapshot-codec.ts';
import { shardKey } from './view-store.ts';

/** Owners of a log that was restored count up from here. */
const FIRST_OWNER_EPOCH = 1;

export interface SnapshotToAdopt {
  readonly partition: number;
  /** The offset that it is said to go up to. */
  readonly offset: number;
  readonly content: AsyncIterable<Buffer>;
  /** How problems call it. */
  readonly name: string;
  /** Entities whose content is left out, by partition key; absent: none. */
  readonly isErased?: (partitionKey: string) => boolean;
}

/**
 * Publishes a snapshot of a shard of one log as one of another log that holds the same records at
 * the same offsets: only the shard's own record names its log. That its views are published is left
 * out: the topic that they went to was of the other plane.
 * @throws MemplaneError `storage_damaged` for one that is not as it was written
 */
export async function adoptSnapshot(
  blobs: BlobStore,
  log: LogInfo,
  { partition, offset, content, name, isErased }: SnapshotToAdopt,
): Promise<void> {
  const { logId, epoch } = log;
  const own = shardKey(partition);
  const published = toKey(new ShardKeys(PLANE, partition).published());
  let tenants: readonly string[] | undefined;
  async function* moved(): AsyncGenerator<readonly SnapshotEntry[]> {
    for await (const rows of decodeEntries(decompressed(content, name), name)) {
      yield rows.flatMap((row) => {
        if (row.key.equals(published)) return [];
        if (!row.key.equals(own)) {
          return isErased === undefined ? [row] : (emptiedRow(row, isErased) ?? []);
        }
        const record = decodeShard(row.value);
        if (record.applied !== offset || record.epoch !== epoch) throw unlike(name);
        ({ tenants } = record);
        return [{ key: row.key, value: encodeShard({ ...record, logId }) }];
      });
    }
  }
  const told = { entries: 0, bytes: 0, sha256: '' };
  const position = { ownerEpoch: FIRST_OWNER_EPOCH, offset };
  const blob = snapshotName(logId, partition, position);
  await blobs.put(blob, compressed(encodeEntries(moved(), told)));
  if (tenants === undefined) throw unlike(name);
  const manifest: SnapshotManifest = {
    ...{ logId, epoch, partition, ...position, blob, tenants },
    ...told,
  };
  await writeManifest(blobs, 'snapshots', manifest);
}

/**
 * Reads a snapshot to its end. @throws MemplaneError `storage_damaged`
 */
export async function checkSnapshot(content: AsyncIterable<Buffer>, name: string): Promise<void> {
  for await (const _rows of decodeEntries(decompressed(content, name), name));
}

function unlike(name: string): MemplaneError {
  return new MemplaneError('storage_damaged', `The snapshot ${name} is not the one it should be.`, {
    extra: { blob: name },
  });
}
