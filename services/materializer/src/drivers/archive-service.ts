import type { BlobStore } from '@memplane/blob-store';
import { firstHlcOf } from '@memplane/clock';
import type { LogAdmin, LogInfo } from '@memplane/event-log';
import type { Logger } from '@memplane/runtime';
import { inSnapshot, type Plane, shardAt } from '../reads/plane.ts';
import { Archive } from './archive.ts';
import { Archiver, type ArchiverSettings } from './archiver.ts';
import { OWNER_EPOCH, type RecordArchive } from './feed-sources.ts';
import { ShardSnapshots } from './shard-snapshots.ts';
import { shardKey, type ViewStore } from './view-store.ts';

export interface ArchiveServiceSettings extends ArchiverSettings {
  /** A snapshot of a shard is published once this many events came since the last one … */
  readonly shard_snapshot_events_min: number;
  /** … and it is this old. */
  readonly shardSnapshotIntervalMs: number;
}

export interface ArchiveServicePorts {
  readonly plane: Plane;
  readonly blobs: BlobStore;
  readonly admin?: LogAdmin | undefined;
  readonly logger: Logger;
}

interface LastSnapshot {
  offset: number;
  atMs: number;
}

/** Everything that leaves the shards for the blob store, and lets the log forget. */
export class ArchiveService {
  readonly archive: RecordArchive;
  readonly #archiver: Archiver;
  readonly #snapshots: ShardSnapshots;
  readonly #ports: ArchiveServicePorts;
  readonly #settings: ArchiveServiceSettings;
  readonly #last: LastSnapshot[];

  private constructor(
    ports: ArchiveServicePorts,
    settings: ArchiveServiceSettings,
    found: { archive: Archive; snapshots: ShardSnapshots; last: LastSnapshot[] },
  ) {
    this.#ports = ports;
    this.#settings = settings;
    this.archive = found.archive;
    this.#snapshots = found.snapshots;
    this.#last = found.last;
    const { plane, admin, logger } = ports;
    this.#archiver = new Archiver(
      {
        log: plane.log,
        admin,
        archive: found.archive,
        logger,
        firstOffsetSince: (partition, timeMs) => this.#firstOffsetSince(partition, timeMs),
        snapshotIfDue: (partition) => this.#snapshotIfDue(partition),
        snapshotOffset: (partition) => this.#last[partition]?.offset ?? -1,
        now: plane.now,
      },
      settings,
    );
  }

  /** @throws MemplaneError what the blob store throws; `storage_damaged` */
  static async open(
    ports: ArchiveServicePorts,
    settings: ArchiveServiceSettings,
  ): Promise<ArchiveService> {
    const { plane, blobs } = ports;
    const { info } = plane.log;
    const archive = await Archive.open(blobs, info, OWNER_EPOCH);
    const snapshots = new ShardSnapshots(blobs, info, OWNER_EPOCH);
    const last: LastSnapshot[] = [];
    for (const { partition } of plane.shards) {
      const newest = await snapshots.newest(partition);
      last.push({ offset: newest?.offset ?? -1, atMs: plane.now() });
    }
    return new ArchiveService(ports, settings, { archive, snapshots, last });
  }

  start(): void {
    this.#archiver.start();
  }

  stop(): Promise<void> {
    return this.#archiver.stop();
  }

  /** Estimated bytes of events that are in the log and not archived: `archive_lag_bytes`. */
  get lagBytes(): number {
    return this.#archiver.lagBytes;
  }

  /** Archives all there is, and publishes snapshots of all shards: for operators and tests. */
  async flush(): Promise<void> {
    for (const { partition } of this.#ports.plane.shards) await this.#publish(partition);
    await this.#archiver.tick(true);
  }

  async #snapshotIfDue(partition: number): Promise<void> {
    const last = this.#last[partition];
    if (last === undefined) return;
    const { applied } = shardAt(this.#ports.plane, partition);
    if (applied - last.offset < this.#settings.shard_snapshot_events_min) return;
    const ageMs = this.#ports.plane.now() - last.atMs;
    if (ageMs < this.#settings.shardSnapshotIntervalMs) return;
    await this.#publish(partition);
  }

  async #publish(partition: number): Promise<void> {
    const { plane } = this.#ports;
    const manifest = await plane.store.read((rocks, snapshot) =>
      this.#snapshots.publish(partition, rocks, snapshot),
    );
    if (manifest !== undefined) {
      this.#last[partition] = { offset: manifest.offset, atMs: plane.now() };
    }
  }

  #firstOffsetSince(partition: number, timeMs: number): Promise<number> {
    const { plane } = this.#ports;
    if (timeMs <= 0) return Promise.resolve(0);
    const before = firstHlcOf(Math.trunc(timeMs)) - 1n;
    return inSnapshot(plane, async (reader) => {
      const shard = (await reader.shards(partition + 1))[partition];
      return shard === undefined ? 0 : (await reader.offsetAt(shard, partition, before)) + 1;
    });
  }
}

/**
 * Fills shards that have nothing from their published snapshots, before the store is used.
 * @returns partition → offset restored
 */
export async function restoreEmptyShards(
  store: ViewStore,
  blobs: BlobStore,
  info: LogInfo,
): Promise<ReadonlyMap<number, number>> {
  const snapshots = new ShardSnapshots(blobs, info, OWNER_EPOCH);
  const restored = new Map<number, number>();
  for (let partition = 0; partition < info.partitions; partition++) {
    if ((await store.rocks.get(shardKey(partition))) !== null) continue;
    const offset = await snapshots.restore(partition, store.rocks);
    if (offset !== undefined) restored.set(partition, offset);
  }
  return restored;
}
