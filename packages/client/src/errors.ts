/**
 * Why a call failed. `code` is the plane's own stable code (see the API reference), or one of the
 * client's: `network` (no answer), `deadline_exceeded`, `aborted`, `invalid_argument`, `queue_full`,
 * `bad_answer` (something that is no plane answered), `lease_lost` (see `withLease`).
 */
export class MemplaneError extends Error {
  readonly code: string;
  /** The HTTP status; 0 where there was no answer. */
  readonly status: number;
  /** Whether the very same call may succeed later. */
  readonly transient: boolean;
  /** The place of the fault in the request, e.g. `body[3].memory.embedding.values`. */
  readonly field: string | undefined;
  /** How long the plane asked to wait, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** Further members of the problem, e.g. `currentSequence`. */
  readonly extra: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, details: MemplaneErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'MemplaneError';
    this.code = code;
    this.status = details.status ?? 0;
    this.transient = details.transient ?? false;
    this.field = details.field;
    this.retryAfterMs = details.retryAfterMs;
    this.extra = details.extra ?? {};
  }
}

export interface MemplaneErrorDetails {
  readonly status?: number;
  readonly transient?: boolean;
  readonly field?: string;
  readonly retryAfterMs?: number;
  readonly extra?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** Reads a problem document (RFC 9457), or says that this was none. */
export function errorFromAnswer(
  status: number,
  body: unknown,
  retryAfterHeader: string | null,
): MemplaneError {
  const problem = (typeof body === 'object' && body !== null ? body : {}) as Problem;
  const retryAfterMs = problem.retryAfterMs ?? secondsToMs(retryAfterHeader);
  const waits = retryAfterMs === undefined ? {} : { retryAfterMs };
  if (typeof problem.errorCode === 'string') return fromSidecar(status, problem);
  if (typeof problem.code !== 'string') {
    const transient = PASSING.has(status);
    return new MemplaneError('bad_answer', `The plane's address answered ${status}.`, {
      status,
      transient,
      ...waits,
    });
  }
  const {
    type,
    title,
    status: _,
    detail,
    code,
    transient,
    field,
    retryAfterMs: __,
    ...extra
  } = problem;
  return new MemplaneError(code, detail ?? title ?? code, {
    status,
    transient: transient === true,
    extra,
    ...waits,
    ...(typeof field === 'string' ? { field } : {}),
  });
}

/**
 * What a Dapr sidecar itself answers: the service is not there (its 500), or the call is not allowed.
 * Whether the service did something before it went is not known.
 */
function fromSidecar(status: number, { errorCode = '', message }: Problem): MemplaneError {
  const unreachable = status >= 500 || PASSING.has(status);
  const code = unreachable ? 'network' : status === 401 || status === 403 ? 'forbidden' : errorCode;
  const detail = `The sidecar answered ${status}: ${message ?? errorCode}`;
  return new MemplaneError(code, detail, {
    status,
    transient: unreachable,
    extra: { errorCode },
  });
}

const PASSING: ReadonlySet<number> = new Set([429, 502, 503, 504]);

interface Problem {
  /** Of a sidecar, with `message`. */
  readonly errorCode?: string;
  readonly message?: string;
  readonly type?: string;
  readonly title?: string;
  readonly status?: number;
  readonly detail?: string;
  readonly code?: string;
  readonly transient?: boolean;
  readonly field?: string;
  readonly retryAfterMs?: number;
  readonly [extra: string]: unknown;
}

function secondsToMs(header: string | null): number | undefined {
  if (header === null || !/^\d{1,6}$/.test(header)) return undefined;
  return Number(header) * 1000;
}
