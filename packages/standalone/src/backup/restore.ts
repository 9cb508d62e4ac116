import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { FileBlobStore } from '@memplane/blob-store';
import { hlcToMs, parseHlc } from '@memplane/clock';
import { restoreCrdts } from '@memplane/crdt-sync/backup';
import { restoreStrong } from '@memplane/event-ingest/backup';
import { acquireDirectoryLock, type LogInfo } from '@memplane/event-log';
import { adoptSnapshot } from '@memplane/materializer/backup';
import { restoreComputedVectors } from '@memplane/vector-index/backup';
import { CommandError, EXIT } from '../output/exit-codes.ts';
import type { Stages } from '../output/stages.ts';
import { archiveDirOf, crdtDirOf, logDirOf, strongDirOf, vectorsDirOf } from '../plane/places.ts';
import { restoringDirOf } from '../plane/restore-mark.ts';
import type { BackupReader } from './backup-reader.ts';
import { type RestoredLog, restoreLog } from './restore-log.ts';

export interface RestoreOptions {
  readonly backup: BackupReader;
  readonly dataDir: string;
  /** Of the new plane's log: tokens of the old one must not be taken for its own. */
  readonly logId: string;
  /** Restores no event with a later stamp, in milliseconds since 1970. */
  readonly untilMs: number | undefined;
  readonly stages: Pick<Stages, 'begin' | 'add'>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly now: () => number;
}

export interface RestoreReport {
  readonly logId: string;
  readonly fromLogId: string;
  readonly events: number;
  /** The last offset of each partition. */
  readonly offsets: readonly number[];
  /** Shards that begin with a snapshot; the others are folded from their events. */
  readonly snapshots: number;
  readonly names: number;
  /** Leases, heads of strong entities, the table of zones. */
  readonly records: number;
  readonly vectors: number;
}

/** What the lock of a data folder leaves in it. */
const LOCK_FILES: ReadonlySet<string> = new Set(['memplane.lock', 'memplane.pid']);

/**
 * Makes the data folder of a new plane out of a backup. All is written into a folder of its own
 * within, and moved out of it at the end, the log last: until then no plane starts on the folder.
 * @throws CommandError for a folder that holds anything, a time that can't be restored;
 * MemplaneError `storage_damaged` for a backup that is, naming the part
 */
export async function restore(options: RestoreOptions): Promise<RestoreReport> {
  const { dataDir } = options;
  checkTime(options);
  await refuseFilled(dataDir);
  const lock = acquireDirectoryLock(dataDir);
  const folder = restoringDirOf(dataDir);
  try {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    const report = await fill(options, folder);
    await publish(folder, dataDir);
    return report;
  } catch (error) {
    await rm(folder, { recursive: true, force: true }).catch(() => {});
    throw error;
  } finally {
    lock.release();
  }
}

async function fill(options: RestoreOptions, folder: string): Promise<RestoreReport> {
  const { backup, stages, logId, untilMs, env, now } = options;
  const { cut } = backup.manifest;
  const total = cut.offsets.reduce((sum, end, p) => sum + end + 1 - (cut.starts[p] ?? 0), 0);
  stages.begin('events', total);
  const onEvents = (events: number) => stages.add(events);
  const log = await restoreLog(backup, { dir: logDirOf(folder), logId, untilMs, onEvents });
  const snapshots = await restoreShards(options, folder, log);
  stages.begin('other values', 1);
  let names = 0;
  for (const part of backup.parts('crdts')) {
    const { name } = part;
    const lines = backup.lines(part);
    const dir = crdtDirOf(folder);
    names += await restoreCrdts({ dir, lines, withoutLog: cut.logId, name, env, now });
  }
  let records = 0;
  for (const part of backup.parts('strong')) {
    const { name } = part;
    const lines = backup.lines(part);
    records += await restoreStrong({ dir: strongDirOf(folder), lines, name });
  }
  let vectors = 0;
  for (const part of backup.parts('vectors')) {
    const lines = backup.lines(part);
    const { name } = part;
    vectors += await restoreComputedVectors({ indexDir: vectorsDirOf(folder), lines, name });
  }
  const { events, ends: offsets } = log;
  const { logId: fromLogId } = cut;
  return { logId, fromLogId, events, offsets, snapshots, names, records, vectors };
}

/** The views themselves are not written: the plane takes them from these snapshots as it starts. */
async function restoreShards(
  { backup, stages }: RestoreOptions,
  folder: string,
  log: RestoredLog,
): Promise<number> {
  const parts = backup.parts('shard');
  stages.begin(
    'views',
    parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  );
  const blobs = await FileBlobStore.open(archiveDirOf(folder));
  const adopted = new Set<number>();
  for (const part of parts) {
    const { name, partition = 0, lastOffset: offset = -1 } = part;
    // One that goes beyond the time that is restored would show what has not happened yet.
    if (offset > (log.ends[partition] ?? -1)) continue;
    await adoptSnapshot(blobs, log.info, { partition, offset, content: backup.bytes(part), name });
    adopted.add(partition);
    stages.add(part.sizeBytes);
  }
  refuseWithoutBeginning(backup, log.info, adopted);
  return adopted.size;
}

function refuseWithoutBeginning(
  backup: BackupReader,
  { partitions }: LogInfo,
  adopted: ReadonlySet<number>,
): void {
  for (let partition = 0; partition < partitions; partition++) {
    const start = backup.manifest.cut.starts[partition] ?? 0;
    if (start === 0 || adopted.has(partition)) continue;
    throw new CommandError(
      `The backup has the history of partition ${partition} from offset ${start} on alone, and a ` +
        'state of its views that is later than that time: give a later time, or an earlier backup.',
      EXIT.refused,
    );
  }
}

function checkTime({ backup, untilMs }: RestoreOptions): void {
  const { hlc } = backup.manifest.cut;
  if (untilMs === undefined) return;
  const endMs = hlc === undefined ? 0 : hlcToMs(parseHlc(hlc));
  if (untilMs <= endMs) return;
  throw new CommandError(
    `The backup ends at ${new Date(endMs).toISOString()}: it does not hold all up to that time.`,
    EXIT.refused,
  );
}

async function refuseFilled(dataDir: string): Promise<void> {
  const entries = await readdir(dataDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const own = basename(restoringDirOf(dataDir));
  const others = entries.filter((name) => name !== own && !LOCK_FILES.has(name));
  if (others.length === 0) return;
  throw new CommandError(
    `${dataDir} is not empty (${others[0]}): a backup is restored into a new folder.`,
    EXIT.refused,
  );
}

/** A crash in between leaves the folder of the restoration, with which no plane starts. */
async function publish(folder: string, dataDir: string): Promise<void> {
  const log = basename(logDirOf(folder));
  const names = (await readdir(folder)).filter((name) => name !== log);
  for (const name of [...names, log]) await rename(join(folder, name), join(dataDir, name));
  await syncFolder(dataDir);
  await rm(folder, { recursive: true });
  await syncFolder(dataDir);
}

async function syncFolder(dir: string): Promise<void> {
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
