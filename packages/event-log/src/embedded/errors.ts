import { MemplaneError } from '@memplane/contracts';

const FULL = new Set(['ENOSPC', 'EDQUOT']);

function systemCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : '';
}

/** Says a failure of the file system in the plane's own codes. */
export function toStorageError(error: unknown, doing: string): MemplaneError {
  if (error instanceof MemplaneError) return error;
  const code = systemCode(error);
  if (FULL.has(code)) {
    return new MemplaneError('storage_full', `No space is left while ${doing}`, {
      retryAfterMs: 1_000,
      cause: error,
    });
  }
  const why =
    code === 'EROFS' || code === 'EACCES' || code === 'EPERM'
      ? 'the data folder can not be written'
      : `the file system failed (${code || String(error)})`;
  return new MemplaneError('storage_unavailable', `While ${doing}: ${why}`, {
    retryAfterMs: 1_000,
    cause: error,
  });
}

/** Where a stored thing was found damaged. `position` is in bytes from the file's beginning. */
export interface DamagePlace {
  readonly segment?: number;
  readonly position?: number;
  readonly partition?: number;
  readonly offset?: number;
  readonly file?: string;
}

export function damaged(what: string, place: DamagePlace): MemplaneError {
  const words = Object.entries(place).map(([name, value]) => `${name} ${value}`);
  return new MemplaneError('storage_damaged', `${what} (${words.join(', ')})`, {
    extra: { ...place },
  });
}
