import { MemplaneError } from '@memplane/contracts';

/**
 * Answers after which this connection is of no use: the server is no master, or not yet one, or has
 * other values than those that the connection found.
 */
const WRONG_SERVER = /^(READONLY|LOADING|MASTERDOWN|NOAUTH|NOPERM|WRONGPASS|NEWSTATE)\b/;

export function isOfWrongServer(error: unknown): boolean {
  return error instanceof Error && WRONG_SERVER.test(error.message);
}

export function isFunctionMissing(error: unknown): boolean {
  return error instanceof Error && /^ERR Function not found/.test(error.message);
}

/** Turns what Redis or its client say into a typed error. */
export function redisError(cause: unknown): MemplaneError {
  if (cause instanceof MemplaneError) return cause;
  const text = cause instanceof Error ? cause.message : String(cause);
  if (/^OOM\b/.test(text) || /No space left on device/.test(text)) {
    return new MemplaneError('storage_full', 'Redis has no room left.', { cause });
  }
  const isOwnFault = /user_function|user_script/.test(text);
  if (isOwnFault) {
    return new MemplaneError('internal', 'A function in Redis failed; it was logged.', { cause });
  }
  return unavailable('Redis can not be used at the moment.', cause);
}

export function unavailable(detail: string, cause?: unknown): MemplaneError {
  return new MemplaneError('storage_unavailable', detail, {
    retryAfterMs: 500,
    ...(cause === undefined ? {} : { cause }),
  });
}
