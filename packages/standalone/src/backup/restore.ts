import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { acquireDirectoryLock } from '@memplane/event-log';
import { CommandError, EXIT } from '../output/exit-codes.ts';
import { logDirOf } from '../plane/places.ts';
import { restoringDirOf } from '../plane/restore-mark.ts';
import { checkTime, type FillOptions, fill, type RestoreReport } from './fill.ts';
import { openFolderTarget } from './folder-target.ts';
import { restoredShape } from './restored-shape.ts';
import { openStoresTarget, type Stores } from './stores-target.ts';

export interface RestoreOptions extends Omit<FillOptions, 'shape'> {
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** What the lock of a data folder leaves in it. */
const LOCK_FILES: ReadonlySet<string> = new Set(['memplane.lock', 'memplane.pid']);

/**
 * Makes the data folder of a new plane out of a backup. All is written into a folder of its own
 * within, and moved out of it at the end, the log last: until then no plane starts on the folder.
 * @throws CommandError for a folder that holds anything, a time that can't be restored;
 * MemplaneError `storage_damaged` for a backup that is, naming the part
 */
export async function restore(
  options: RestoreOptions & {
    readonly dataDir: string;
    /** Of the new plane's log. */
    readonly logId: string;
  },
): Promise<RestoreReport> {
  const { dataDir, backup, untilMs } = options;
  checkTime(options);
  await refuseFilled(dataDir);
  const lock = acquireDirectoryLock(dataDir);
  const folder = restoringDirOf(dataDir);
  try {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    const shape = await restoredShape(backup, untilMs);
    const target = await openFolderTarget({ ...options, folder, shape });
    const report = await fill({ ...options, shape }, target).finally(() => target.close());
    await publish(folder, dataDir);
    return report;
  } catch (error) {
    await rm(folder, { recursive: true, force: true }).catch(() => {});
    throw error;
  } finally {
    lock.release();
  }
}

/**
 * Fills the stores of a distributed plane, of which no service runs, out of a backup. Cut off, it
 * leaves stores that have something, and are refused.
 * @throws as {@link restore}; CommandError for a store that is not empty
 */
export async function restoreStores(
  options: RestoreOptions & { readonly stores: Stores },
): Promise<RestoreReport> {
  checkTime(options);
  const shape = await restoredShape(options.backup, options.untilMs);
  const target = await openStoresTarget({ ...options, shape });
  return await fill({ ...options, shape }, target).finally(() => target.close());
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
