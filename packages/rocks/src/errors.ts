import { MemplaneError } from '@memplane/contracts';

const FULL = /no space left|disk quota|ENOSPC|EDQUOT|file too large/i;
const DAMAGED = /corruption|checksum mismatch|corrupted/i;
const LOCKED = /lock hold|LOCK:|lock file/i;

/** Translates what RocksDB or the file system says into a coded error; coded ones pass unchanged. */
export function storageError(error: unknown, dir: string): MemplaneError {
  if (error instanceof MemplaneError) return error;
  const text = error instanceof Error ? error.message : String(error);
  const details = { cause: error };
  if (FULL.test(text)) {
    return new MemplaneError(
      'storage_full',
      `The disk that holds ${dir} is full: ${text}`,
      details,
    );
  }
  if (LOCKED.test(text)) {
    return new MemplaneError('storage_unavailable', `Another process uses ${dir}: ${text}`, {
      ...details,
      extra: { locked: true },
    });
  }
  if (DAMAGED.test(text)) {
    return new MemplaneError('storage_damaged', `The store ${dir} is damaged: ${text}`, details);
  }
  return new MemplaneError(
    'storage_unavailable',
    `The store ${dir} can not be used: ${text}`,
    details,
  );
}
