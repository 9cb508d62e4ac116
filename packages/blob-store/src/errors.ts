import { MemplaneError } from '@memplane/contracts';

/** Gives an error of the file system its code. */
export function blobError(error: unknown, name: string): MemplaneError {
  if (error instanceof MemplaneError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const details = { cause: error };
  if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR') {
    return new MemplaneError('not_found', `There is no blob ${name}`, details);
  }
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
    return new MemplaneError('storage_full', `No room for the blob ${name}: ${message}`, details);
  }
  return new MemplaneError('storage_unavailable', `The blob ${name}: ${message}`, details);
}
