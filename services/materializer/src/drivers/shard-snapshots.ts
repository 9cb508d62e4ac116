import type { BlobStore } from '@memplane/blob-store';
import { MemplaneError } from '@memplane/contracts';
import type { LogInfo, LogReader } from '@memplane/event-log';
import type { RocksSnapshot, RocksStore } from '@memplane/rocks';
import { snapshotName } from '../domain/archive-names.ts';
import { PLANE, shardRange } from '../domain/keys.ts';
import { decodeShard } from '../domain/shard-record.ts';
import { decodeEntries, encodeEntries, type SnapshotEntry } from '../domain/snapshot-format.ts';
import { listManifests, type ManifestBase, readManifest, writeManifest } from './manifests.ts';
import { RestoreWriter } from './restore-writer.ts';
import { compressed, decompressed } from './snapshot-codec.ts';
import { shardKey } from './view-store.ts';

export interface SnapshotManifest extends ManifestBase {
  readonly blob: string;
  readonly tenants: readonly string[];
  readonly entries: number;
  /** Before compression. */
  readonly bytes: number;
  readonly sha256: string;
}

const SNAPSHOTS_KEPT = 2;

/** Publishes and restores logical snapshots of shards: all rows of one, at one applied offset. */
export class ShardSnapshots {
  readonly #blobs: BlobStore;
  readonly #source: Pick<LogReader, 'info'>;
  /** The last restoring: the next one begins when it has ended. */
  #restoring: Promise<unknown> = Promise.resolve();

  constructor(blobs: BlobStore, log: Pick<LogReader, 'info'>) {
    this.#blobs = blobs;
    this.#source = log;
  }

  get #log(): LogInfo {
    return this.#source.info;
  }

  /** The offset of the newest one that was published; -1: there is none. */
  async newestOffset(partition: number): Promise<number> {
    const [name] = await listManifests(this.#blobs, 'snapshots', this.#log.logId, partition);
    return name?.offset ?? -1;
  }

  /** The newest one that was published; undefined when there is none. */
  async newest(partition: number): Promise<SnapshotManifest | undefined> {
    const [name] = await listManifests(this.#blobs, 'snapshots', this.#log.logId, partition);
    return name === undefined ? undefined : await readManifest(this.#blobs, name.name);
  }

  /**
   * The offset up to which any kept snapshot goes, once there are as many as are kept: what is
   * before it is needed by none, not even if the newest can't be read. −1: no such.
   */
  async coveredOffset(partition: number): Promise<number> {
    const names = await listManifests(this.#blobs, 'snapshots', this.#log.logId, partition);
    return names[SNAPSHOTS_KEPT - 1]?.offset ?? -1;
  }

  /**
   * Writes all rows of a shard, as they are in a snapshot of the store; reads them back, and then
   * publishes the manifest. Nothing when the shard has applied nothing.
   */
  async publish(
    { partition, ownerEpoch }: { readonly partition: number; readonly ownerEpoch: number },
    rocks: RocksStore,
    snapshot: RocksSnapshot,
  ): Promise<SnapshotManifest | undefined> {
    const row = await rocks.get(shardKey(partition), snapshot);
    if (row === null) return undefined;
    const { applied, tenants } = decodeShard(row);
    const { logId, epoch } = this.#log;
    const position = { ownerEpoch, offset: applied };
    const blob = snapshotName(logId, partition, position);
    const told = { entries: 0, bytes: 0, sha256: '' };
    const rows = rowsOf(rocks, snapshot, partition, tenants);
    await this.#blobs.put(blob, compressed(encodeEntries(rows, told)));
    let verified = 0;
    for await (const entries of this.#entries(blob)) verified += entries.length;
    if (verified !== told.entries) {
      throw new MemplaneError('storage_damaged', `The snapshot ${blob} came back otherwise.`);
    }
    const manifest = { logId, epoch, partition, ...position, blob, tenants, ...told };
    await writeManifest(this.#blobs, 'snapshots', manifest);
    await this.#removeOld(partition);
    return manifest;
  }

  /**
   * Fills a shard from the newest snapshot that can be read. The shard's own record comes last:
   * until then, after a crash too, the shard counts as empty, whatever it was before. One shard
   * after the other, so that no file of the store reaches across several: see {@link RestoreWriter}.
   * @param applied what the shard has; snapshots that are not further are no help, unless one that
   * was had to be given up half-way
   * @returns the offset restored; undefined when there is no readable snapshot
   */
  restore(partition: number, rocks: RocksStore, applied = -1): Promise<number | undefined> {
    const restored = this.#restoring.then(() => this.#restore(partition, rocks, applied));
    this.#restoring = restored.catch(() => {});
    return restored;
  }

  async #restore(
    partition: number,
    rocks: RocksStore,
    applied: number,
  ): Promise<number | undefined> {
    const names = await listManifests(this.#blobs, 'snapshots', this.#log.logId, partition);
    let beyond = applied;
    for (const { name, offset } of names) {
      if (offset <= beyond) continue;
      let manifest: SnapshotManifest | undefined;
      try {
        manifest = await readManifest<SnapshotManifest>(this.#blobs, name);
        await this.#load(manifest, rocks);
        return manifest.offset;
      } catch (error) {
        if (manifest !== undefined) {
          await clear(rocks, manifest);
          beyond = -1;
        }
        const code = error instanceof MemplaneError ? error.code : undefined;
        if (code !== 'storage_damaged' && code !== 'not_found') throw error;
      }
    }
    return undefined;
  }

  async #load(manifest: SnapshotManifest, rocks: RocksStore): Promise<void> {
    await clear(rocks, manifest);
    const last = shardKey(manifest.partition);
    const own = shardRange(PLANE, manifest.partition).gte;
    const writer = new RestoreWriter(rocks);
    let record: Buffer | undefined;
    try {
      for await (const entries of this.#entries(manifest.blob)) {
        for (const { key, value } of entries) {
          if (key.equals(last)) record = value;
          else if (startsWith(key, own)) writer.keep(key, value);
          else writer.put(key, value);
        }
        const room = writer.room();
        if (room !== undefined) await room;
      }
    } catch (error) {
      // Of a snapshot that is given up nothing may be written any more from here on.
      await writer.abandon();
      throw error;
    }
    if (record === undefined || decodeShard(record).applied !== manifest.offset) {
      await writer.abandon();
      throw new MemplaneError('storage_damaged', `The snapshot ${manifest.blob} lacks its record.`);
    }
    await writer.end(last, record);
  }

  async *#entries(blob: string): AsyncGenerator<SnapshotEntry[]> {
    yield* decodeEntries(decompressed(this.#blobs.stream(blob), blob), blob);
  }

  /** How many of them were published before the shard had applied an offset. */
  async countBefore(partition: number, offset: number): Promise<number> {
    const names = await listManifests(this.#blobs, 'snapshots', this.#log.logId, partition);
    return names.filter((name) => name.offset < offset).length;
  }

  /** What the others hold is to be nowhere any more. */
  removeAllButNewest(partition: number): Promise<void> {
    return this.#removeOld(partition, 1);
  }

  async #removeOld(partition: number, kept = SNAPSHOTS_KEPT): Promise<void> {
    const names = await listManifests(this.#blobs, 'snapshots', this.#log.logId, partition);
    for (const old of names.slice(kept)) {
      await this.#blobs.delete(snapshotName(this.#log.logId, partition, old));
      await this.#blobs.delete(old.name);
    }
  }
}

/** All rows of a shard, in the order of their keys. */
export async function* rowsOf(
  rocks: RocksStore,
  snapshot: RocksSnapshot,
  partition: number,
  tenants: readonly string[],
): AsyncGenerator<SnapshotEntry[]> {
  for (const tenant of [PLANE, ...tenants].sort()) {
    yield* rocks.scan({ ...shardRange(tenant, partition), snapshot });
  }
}

/**
 * Removes what the store has of a shard. Where that is nothing, nothing is written: the mark of a
 * removed range would keep the files that come after it from being moved as they are.
 */
async function clear(rocks: RocksStore, { partition, tenants }: SnapshotManifest): Promise<void> {
  const batch = rocks.batch();
  for (const tenant of [PLANE, ...tenants]) {
    const range = shardRange(tenant, partition);
    const [first] = await rocks.scanAll({ ...range, limit: 1, values: false });
    if (first !== undefined) batch.deleteRange(range.gte, range.lt);
  }
  await rocks.write(batch);
}

function startsWith(key: Buffer, prefix: Buffer): boolean {
  for (let i = 0; i < prefix.length; i++) if (key[i] !== prefix[i]) return false;
  return true;
}
