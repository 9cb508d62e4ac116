import { ERROR_CODES, MemplaneError } from '@memplane/contracts';

/** An RFC 9457 problem document. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly transient: boolean;
  readonly field?: string;
  readonly [extra: string]: unknown;
}

export const PROBLEM_MEDIA_TYPE = 'application/problem+json';

/** Turns any thrown value into a typed error. Unknown ones become `internal`, their text kept inside. */
export function toMemplaneError(error: unknown): MemplaneError {
  if (error instanceof MemplaneError) return error;
  if (error instanceof URIError) {
    return new MemplaneError('invalid_encoding', 'The path is not valid percent-encoded UTF-8.', {
      field: 'path',
      cause: error,
    });
  }
  return new MemplaneError('internal', 'An unexpected error; it was logged.', { cause: error });
}

/** Writes an error as a problem document. */
export function toProblem(error: MemplaneError): Problem {
  return {
    type: `urn:memplane:problem:${error.code}`,
    title: ERROR_CODES[error.code].title,
    status: error.status,
    detail: error.message,
    code: error.code,
    transient: error.transient,
    ...(error.field === undefined ? {} : { field: error.field }),
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
    ...error.extra,
  };
}

/** Reads a problem that another service answered back into a typed error. */
export function fromProblem(status: number, body: unknown): MemplaneError {
  const problem = (typeof body === 'object' && body !== null ? body : {}) as Partial<Problem>;
  const code = problem.code;
  if (typeof code !== 'string' || !Object.hasOwn(ERROR_CODES, code)) {
    return new MemplaneError('dependency_unavailable', `Another service answered ${status}.`);
  }
  const { type, title, status: _status, detail, code: _code, transient, ...rest } = problem;
  const { field, retryAfterMs, ...extra } = rest;
  return new MemplaneError(code as keyof typeof ERROR_CODES, detail ?? code, {
    ...(typeof field === 'string' ? { field } : {}),
    ...(typeof retryAfterMs === 'number' ? { retryAfterMs } : {}),
    extra,
  });
}

/** The value of a JSON text; undefined where it is none. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
