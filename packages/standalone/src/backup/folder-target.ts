import { FileBlobStore } from '@memplane/blob-store';
import { newReplicaFolder } from '@memplane/crdt-sync/backup';
import { newStrongFolder } from '@memplane/event-ingest/backup';
import { openEmbeddedLog } from '@memplane/event-log';
import { archiveDirOf, crdtDirOf, logDirOf, strongDirOf, vectorsDirOf } from '../plane/places.ts';
import { openTarget, type RestoreTarget } from './restore-target.ts';
import type { RestoredShape } from './restored-shape.ts';

export interface FolderTargetOptions {
  readonly folder: string;
  readonly shape: RestoredShape;
  /** Of the new plane's log: tokens of the old one must not be taken for its own. */
  readonly logId: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly now: () => number;
}

/** Nothing waits for a stamp here: those of the records are old. */
const PRODUCE_DEADLINE_MS = 3_600_000;

/** The stores of a standalone plane, in a folder. */
export function openFolderTarget({
  folder,
  shape,
  logId,
  env,
  now,
}: FolderTargetOptions): Promise<RestoreTarget> {
  return openTarget(async (opened) => {
    const { writer: log } = await openEmbeddedLog({
      dir: logDirOf(folder),
      partitions: shape.starts.length,
      produceDeadlineMs: PRODUCE_DEADLINE_MS,
      newLogId: () => logId,
      newEpoch: shape.epoch,
      newStarts: shape.starts,
      newLineage: shape.lineage,
    });
    opened(() => log.close());
    const replica = await newReplicaFolder(crdtDirOf(folder), { env, now });
    opened(() => replica.storage.store.close());
    const strong = await newStrongFolder(strongDirOf(folder));
    opened(() => strong.close());
    const archive = await FileBlobStore.open(archiveDirOf(folder));
    const indexDirs = [vectorsDirOf(folder)];
    return { log, archive, replicas: [replica], strong, indexDirs };
  });
}
