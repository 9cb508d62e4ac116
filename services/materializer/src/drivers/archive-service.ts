import type { BlobStore } from '@memplane/blob-store';
import { firstHlcOf } from '@memplane/clock';
import {
  type LogAdmin,
  type LogReader,
  type LogReadOptions,
  type LogRecord,
  parentOf,
} from '@memplane/event-log';
import type { Logger } from '@memplane/runtime';
import { inSnapshot, type Plane } from '../reads/plane.ts';
import { ownerMoving, type Shard } from '../shard.ts';
import { Archive, type IsErased } from './archive.ts';
import { Archiver, type ArchiverSettings } from './archiver.ts';
import { type RecordArchive, withoutErased } from './feed-sources.ts';
import type { RecordOpener } from './opening-log.ts';
import { ShardSnapshots } from './shard-snapshots.ts';
import type { ViewStore } from './view-store.ts';

export interface ArchiveServiceSettings extends ArchiverSettings {
  /** A snapshot of a shard is published once this many events came since the last one … */
  readonly shard_snapshot_events_min: number;
  /** … and it is this old. */
  readonly shardSnapshotIntervalMs: number;
}

export interface ArchiveServicePorts {
  readonly plane: Plane;
  /** The log as it is, and what opens it: what is sealed is archived sealed. Absent: nothing is. */
  readonly sealed?: { readonly log: LogReader; readonly opener: RecordOpener };
  readonly blobs: BlobStore;
  readonly admin?: LogAdmin | undefined;
  readonly logger: Logger;
}

interface LastSnapshot {
  offset: number;
  /** Every kept snapshot goes at least up to here. */
  covered: number;
  atMs: number;
}

/** Everything that leaves the shards for the blob store, and lets the log forget. */
export class ArchiveService {
  /** What is archived of the partitions whose shards are here. */
  readonly archive: RecordArchive;
  readonly #archive: Archive;
  readonly #archiver: Archiver;
  readonly #snapshots: ShardSnapshots;
  readonly #ports: ArchiveServicePorts;
  readonly #settings: ArchiveServiceSettings;
  readonly #last = new Map<number, LastSnapshot>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(ports: ArchiveServicePorts, settings: ArchiveServiceSettings) {
    const { plane, sealed, blobs, admin, logger } = ports;
    const log = sealed?.log ?? plane.log;
    this.#ports = ports;
    this.#settings = settings;
    this.#archive = new Archive(blobs, log);
    this.#snapshots = new ShardSnapshots(blobs, log);
    const stored: RecordArchive = {
      read: (partition, from, options) => this.#read(partition, from, options),
    };
    this.archive = sealed?.opener.archive(stored) ?? stored;
    this.#archiver = new Archiver(
      {
        log,
        admin,
        archive: this.#archive,
        logger,
        partitions: () => this.#openAll(),
        owns: (partition) => plane.shards.get(partition) !== undefined,
        firstOffsetSince: (partition, timeMs) => this.#firstOffsetSince(partition, timeMs),
        snapshotIfDue: (partition) => this.#snapshotIfDue(partition),
        snapshotOffset: (partition) => this.#last.get(partition)?.offset ?? -1,
        unneededBefore: (partition) => this.#unneededBefore(partition),
        childrenReading: (partition) => this.#childrenReading(partition),
        withoutErased: (partition, records) => withoutErased(plane, partition, records),
        inTurn: (work) => this.#inTurn(work),
        now: plane.now,
      },
      settings,
    );
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
    for (const partition of await this.#openAll()) await this.#publish(partition);
    await this.#archiver.tick(true);
  }

  /** Opens the archive of what has come, and closes that of what has gone. */
  async #openAll(): Promise<readonly number[]> {
    const { shards } = this.#ports.plane;
    const open: number[] = [];
    for (let partition = 0; partition < shards.partitions; partition++) {
      const shard = shards.get(partition);
      if (shard === undefined) {
        this.#archive.close(partition);
        this.#last.delete(partition);
      } else {
        await this.#open(shard);
        open.push(partition);
      }
    }
    return open;
  }

  async #open({ partition, ownerEpoch }: Shard): Promise<void> {
    if (this.#archive.openedFor(partition) === ownerEpoch) return;
    const newest = await this.#snapshots.newest(partition);
    const covered = await this.#snapshots.coveredOffset(partition);
    const atMs = this.#ports.plane.now();
    this.#last.set(partition, { offset: newest?.offset ?? -1, covered, atMs });
    await this.#archive.open(partition, ownerEpoch);
  }

  async #read(partition: number, from: number, options: LogReadOptions): Promise<LogRecord[]> {
    const { shards, log } = this.#ports.plane;
    const shard = shards.opened(partition);
    if (shard === undefined) throw ownerMoving(partition);
    await this.#open(shard);
    const records = await this.#archive.read(partition, from, options);
    const { lineage } = log.info;
    const parent = lineage && parentOf(lineage, partition);
    const base = lineage?.bases[partition] ?? 0;
    if (records.length > 0 || parent === undefined || from >= base) return records;
    // What the log had forgotten when the partition was split off is in its parent's archive.
    const older = await this.#read(parent, from, options);
    return older.filter(({ offset }) => offset < base).map((record) => ({ ...record, partition }));
  }

  /** Those that were split off a partition and still archive what is in its log. */
  #childrenReading(partition: number): number[] {
    const { lineage } = this.#ports.plane.log.info;
    if (lineage === undefined) return [];
    return [...lineage.bases.keys()].filter(
      (child) =>
        parentOf(lineage, child) === partition &&
        (this.#archive.endOf(child) ?? 0) < (lineage.bases[child] ?? 0),
    );
  }

  async #snapshotIfDue(partition: number): Promise<void> {
    const last = this.#last.get(partition);
    if (last === undefined) return;
    const { applied } = this.#ports.plane.shards.at(partition);
    if (applied - last.offset < this.#settings.shard_snapshot_events_min) return;
    const ageMs = this.#ports.plane.now() - last.atMs;
    if (ageMs < this.#settings.shardSnapshotIntervalMs) return;
    await this.#publish(partition);
  }

  /**
   * Replaces what was published of a shard with rows of before some erasures, and takes the payloads of
   * plain events of before them out of the archive.
   * @param isErased tells which records
   */
  async withoutErased(shard: Shard, isErased: IsErased): Promise<void> {
    const { partition } = shard;
    await this.#inTurn(async () => {
      await this.#open(shard);
      await this.#archive.empty(partition, isErased);
    });
    if ((await this.#snapshots.newestOffset(partition)) < 0) return;
    await this.#publish(partition);
    await this.#inTurn(() => this.#snapshots.removeAllButNewest(partition));
  }

  /** Snapshots that were published of a shard before it had applied an offset. */
  async snapshotsBefore(partition: number, offset: number): Promise<number> {
    return await this.#snapshots.countBefore(partition, offset);
  }

  /** Plain events of an entity in the archive, with their payload, of before an offset. */
  async plainArchived(partition: number, key: string, offset: number): Promise<number> {
    await this.#open(this.#ports.plane.shards.at(partition));
    const isErased = (record: LogRecord) => record.key === key && record.offset < offset;
    return await this.#archive.plainErased(partition, isErased);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work, work);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  #publish(partition: number): Promise<void> {
    return this.#inTurn(() => this.#publishNow(partition));
  }

  async #publishNow(partition: number): Promise<void> {
    const { plane } = this.#ports;
    const shard = plane.shards.at(partition);
    const manifest = await plane.store.read((rocks, snapshot) =>
      this.#snapshots.publish(shard, rocks, snapshot),
    );
    if (manifest !== undefined) {
      const covered = await this.#snapshots.coveredOffset(partition);
      this.#last.set(partition, { offset: manifest.offset, covered, atMs: plane.now() });
    }
  }

  /** No reader and no rebuild asks for records before this offset. */
  #unneededBefore(partition: number): number {
    const { historyStart } = this.#ports.plane.shards.at(partition).record;
    return Math.min(historyStart, (this.#last.get(partition)?.covered ?? -1) + 1);
  }

  async #firstOffsetSince(partition: number, timeMs: number): Promise<number> {
    const { plane } = this.#ports;
    if (timeMs <= 0) return 0;
    const before = firstHlcOf(Math.trunc(timeMs)) - 1n;
    const found = await inSnapshot(plane, async (reader) => {
      const shard = (await reader.shards(partition + 1))[partition];
      return shard === undefined ? 0 : (await reader.offsetAt(shard, partition, before)) + 1;
    });
    const { historyStart } = plane.shards.at(partition).record;
    // The views no longer know the times of what is before the history: the log does.
    return found < historyStart ? await plane.log.offsetSince(partition, timeMs) : found;
  }
}

/**
 * Fills a shard from its newest published snapshot where the store has nothing of it, or so little
 * that reading on from there would take longer, or is no longer possible.
 * @param eventsMin as many events further the snapshot has to be than what the store has
 * @returns the offset restored; undefined when nothing was
 */
export async function restoreShard(
  store: ViewStore,
  snapshots: ShardSnapshots,
  applied: number,
  { partition, eventsMin }: { readonly partition: number; readonly eventsMin: number },
): Promise<number | undefined> {
  const newest = await snapshots.newestOffset(partition);
  if (newest < 0) return undefined;
  // What every kept snapshot covers may have left the archive.
  const isNear = applied >= (await snapshots.coveredOffset(partition));
  if (applied >= 0 && isNear && newest - applied < eventsMin) return undefined;
  return await snapshots.restore(partition, store.rocks, applied);
}
