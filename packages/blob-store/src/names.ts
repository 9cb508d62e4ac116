import { MemplaneError } from '@memplane/contracts';

export const BLOB_NAME_CHARS_MAX = 512;

const SEGMENT = /^[A-Za-z0-9_=~@][A-Za-z0-9._=~@-]*$/;
const PREFIX = /^(?:[A-Za-z0-9_=~@][A-Za-z0-9._=~@-]*\/)*(?:[A-Za-z0-9_=~@][A-Za-z0-9._=~@-]*)?$/;

/**
 * Checks a blob's name: segments of `[A-Za-z0-9._=~@-]` that begin with neither a dot nor a dash,
 * joined by single slashes; so it can leave no folder, and is an object key anywhere.
 */
export function checkBlobName(name: string): string {
  if (!isBlobName(name)) {
    throw new MemplaneError('invalid_request', `Not a name of a blob: ${name.slice(0, 80)}`, {
      field: 'name',
    });
  }
  return name;
}

/** Checks the beginning of a name; it may end within a segment. */
export function checkBlobPrefix(prefix: string): string {
  if (prefix.length > BLOB_NAME_CHARS_MAX || !PREFIX.test(prefix)) {
    throw new MemplaneError('invalid_request', `Not a prefix of blobs: ${prefix.slice(0, 80)}`, {
      field: 'prefix',
    });
  }
  return prefix;
}

export function isBlobName(name: string): boolean {
  if (name.length > BLOB_NAME_CHARS_MAX) return false;
  return name.split('/').every((segment) => SEGMENT.test(segment));
}
