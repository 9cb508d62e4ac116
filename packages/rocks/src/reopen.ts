import { randomUUID } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { RocksOptions } from './options.ts';
import { RocksStore } from './store.ts';

const PROBE_BYTES = 256 * 1024;

/** @throws Error when a file of 256 KiB can't be written and synced in the folder */
export async function probeFolder(dir: string): Promise<void> {
  const path = join(dir, `probe-${randomUUID()}.tmp`);
  try {
    const file = await open(path, 'wx');
    try {
      await file.write(Buffer.alloc(PROBE_BYTES));
      await file.datasync();
    } finally {
      await file.close();
    }
  } finally {
    await rm(path, { force: true }).catch(() => {});
  }
}

/**
 * Closes a store and opens it again: RocksDB refuses writes for good after some failures. Where it
 * can't be opened for writing, it is opened for reading alone, so that reads go on.
 * @returns the store to go on with, and why it can't be written
 */
export async function reopenStore(
  store: RocksStore,
  options: RocksOptions,
): Promise<{ store: RocksStore; failure: unknown }> {
  await store.close();
  try {
    return { store: await RocksStore.open(store.dir, options), failure: undefined };
  } catch (failure) {
    return { store: await RocksStore.open(store.dir, { ...options, readOnly: true }), failure };
  }
}
