import { S3ServiceException } from '@aws-sdk/client-s3';
import { type ErrorCode, MemplaneError } from '@memplane/contracts';

/** Says whether a request was refused because of its condition: the blob is there, or has changed. */
export function isConditionFailed(error: unknown): boolean {
  return error instanceof S3ServiceException && error.$metadata.httpStatusCode === 412;
}

/** The parts of a larger blob are gone: it was put together already, or given up. */
export function isUploadGone(error: unknown): boolean {
  return error instanceof S3ServiceException && error.name === 'NoSuchUpload';
}

/** How often a request was sent before it was answered so. */
export function attemptsOf(error: unknown): number {
  return (error as { $metadata?: { attempts?: number } }).$metadata?.attempts ?? 1;
}

const BY_NAME: Readonly<Record<string, ErrorCode>> = {
  NoSuchBucket: 'dependency_unavailable',
  NoSuchKey: 'not_found',
  // The answer to a HEAD has no room for more.
  NotFound: 'not_found',
  InvalidRange: 'invalid_request',
  EntityTooLarge: 'body_too_large',
  AccessDenied: 'forbidden',
  AccountProblem: 'forbidden',
  InvalidAccessKeyId: 'unauthorized',
  SignatureDoesNotMatch: 'unauthorized',
  XAdminUserNotFound: 'unauthorized', // versitygw, with status 404
  InvalidToken: 'unauthorized',
  ExpiredToken: 'unauthorized',
  QuotaExceeded: 'storage_full',
  InsufficientStorage: 'storage_full',
};

const BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  401: 'unauthorized',
  403: 'forbidden',
  416: 'invalid_request',
  507: 'storage_full',
};

const ADVICE: Partial<Record<ErrorCode, string>> = {
  dependency_unavailable: 'there is no such bucket',
  not_found: 'there is none',
  unauthorized: 'the storage does not know these keys',
  forbidden: 'the storage does not let these keys do that',
  storage_full: 'there is no room for it',
};

/**
 * Gives an error of the storage its code. What can not be told apart (timeouts, broken connections,
 * 5xx) is `storage_unavailable`: a repetition may succeed.
 */
export function s3Error(error: unknown, name: string): MemplaneError {
  if (error instanceof MemplaneError) return error;
  const code = codeOf(error);
  const why = ADVICE[code] ?? (error instanceof Error ? error.message : String(error));
  return new MemplaneError(code, `S3, ${name}: ${why}`, { cause: error });
}

function codeOf(error: unknown): ErrorCode {
  if (!(error instanceof S3ServiceException)) return 'storage_unavailable';
  const { httpStatusCode = 0 } = error.$metadata;
  return BY_NAME[error.name] ?? BY_STATUS[httpStatusCode] ?? 'storage_unavailable';
}
