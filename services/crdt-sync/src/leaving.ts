import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { toMemplaneError } from '@memplane/runtime';
import type { CrdtSyncConfig } from './config.ts';
import { exportLines } from './domain/export.ts';
import type { MembershipRecord } from './domain/membership-store.ts';
import type { CrdtStorage } from './domain/storage.ts';
import { openEmbeddedStorage } from './drivers/embedded-storage.ts';

/** What became of a replica that was forgotten. */
export interface Left {
  readonly replica: string;
  /** Where all that it held is, as `GET /v1/export` gives it. */
  readonly file: string;
}

/** A folder's replica, under the id that it has now. */
export interface Identified {
  readonly config: CrdtSyncConfig;
  readonly storage: CrdtStorage;
  readonly left?: Left | undefined;
  /** Why a forgotten replica is still what it was. */
  readonly failure?: unknown;
}

export interface Folder {
  readonly dir: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

const NEW_ID_BYTES = 3;
/** With what is put behind it, the longest id. */
const BASE_LENGTH_MAX = 128 - 1 - 2 * NEW_ID_BYTES;

/**
 * Opens a folder. A replica that the others have forgotten leaves first: all that it holds goes into
 * a file beside the folder, which is emptied, and it has another id from then on. What it held is
 * joined by nobody: the others may have forgotten operation ids that they would have kept for it.
 *
 * It may be killed at any moment: the file is whole before the folder is emptied, has a name of its
 * own, and where the new id was not kept yet it hears again that it is forgotten.
 * @throws MemplaneError what opening the folder throws
 */
export async function openFolder(config: CrdtSyncConfig, folder: Folder): Promise<Identified> {
  const first = await openEmbeddedStorage(config, folder);
  const record = await loadRecord(first);
  const known = withId(config, idOf(config, record));
  const { replicaId } = known;
  const isAsSet = replicaId === config.replicaId;
  if (!isAsSet) await first.store.close();
  const storage = isAsSet ? first : await openEmbeddedStorage(known, folder);
  const isForgotten = record?.forgotten.includes(replicaId) === true;
  if (record === undefined || !isForgotten || config.gossip === undefined) {
    return { config: known, storage };
  }
  const time = new Date(folder.now()).toISOString().replaceAll(/[-:.]/g, '');
  const file = path.resolve(`${folder.dir}-of-${replicaId}-${time}.ndjson`);
  try {
    await exportTo(file, storage);
  } catch (failure) {
    return { config: known, storage, failure };
  }
  await storage.store.close();
  const gone = `${path.resolve(folder.dir)}.gone`;
  await rm(gone, { recursive: true, force: true });
  await rename(folder.dir, gone);
  const base = config.replicaId.slice(0, BASE_LENGTH_MAX);
  const to = `${base}-${randomBytes(NEW_ID_BYTES).toString('hex')}`;
  const anew = withId(config, to);
  const emptied = await openEmbeddedStorage(anew, folder);
  await emptied.membership.saveMembership({ ...record, renamed: { from: config.replicaId, to } });
  await rm(gone, { recursive: true, force: true });
  return { config: anew, storage: emptied, left: { replica: replicaId, file } };
}

/** The id of the settings, until it is forgotten. */
function idOf({ replicaId }: CrdtSyncConfig, record: MembershipRecord | undefined): string {
  return record?.renamed?.from === replicaId ? record.renamed.to : replicaId;
}

function withId(config: CrdtSyncConfig, replicaId: string): CrdtSyncConfig {
  const isAlone = config.replicaSet.length === 1;
  return { ...config, replicaId, replicaSet: isAlone ? [replicaId] : config.replicaSet };
}

/** Damage is told by whoever begins the start. */
async function loadRecord(storage: CrdtStorage): Promise<MembershipRecord | undefined> {
  try {
    return await storage.membership.loadMembership();
  } catch (cause) {
    if (toMemplaneError(cause).code === 'storage_damaged') return undefined;
    await storage.store.close();
    throw cause;
  }
}

/** The file is whole, and on disk, once it has its name. */
async function exportTo(file: string, { store }: CrdtStorage): Promise<void> {
  const unfinished = `${file}.unfinished`;
  const handle = await open(unfinished, 'w', 0o600);
  try {
    for await (const line of exportLines(store)) await handle.write(`${JSON.stringify(line)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(unfinished, file);
  const parent = await open(path.dirname(file), 'r');
  try {
    await parent.sync();
  } finally {
    await parent.close();
  }
}
