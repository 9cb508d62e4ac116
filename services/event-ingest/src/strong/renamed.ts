import { MemplaneError } from '@memplane/contracts';

/** The same error, about the field of a request; what is no error of a field stays as it is. */
export function renamed(error: unknown, fieldOf: (error: MemplaneError) => string): unknown {
  if (!(error instanceof MemplaneError) || !NAMED.has(error.field ?? '')) return error;
  const { code, message, retryAfterMs, extra, cause } = error;
  const field = `${fieldOf(error)}.${error.field}`;
  const retry = retryAfterMs === undefined ? {} : { retryAfterMs };
  return new MemplaneError(code, `${field}: ${message}`, { ...retry, field, extra, cause });
}

/** What programs call them. */
const NAMED: ReadonlySet<string> = new Set(['id', 'expectedSequence', 'fencingToken']);
