import { closeSync, openSync } from 'node:fs';

const READ_ONLY: ReadonlySet<unknown> = new Set(['EROFS', 'EACCES', 'EPERM']);

/**
 * Opens a file for reading and writing, making it if need be. On a disk that refuses writes an
 * existing one is opened for reading alone: searches go on, and the next write fails and opens anew.
 */
export function openForUpdate(path: string): number {
  try {
    closeSync(openSync(path, 'a'));
    return openSync(path, 'r+');
  } catch (error) {
    if (!READ_ONLY.has((error as NodeJS.ErrnoException).code)) throw error;
    return openSync(path, 'r');
  }
}
