import { ERROR_CODES, type ErrorCode, MemplaneError } from '@memplane/contracts';
import { fromProblem, jsonOf } from '../problem.ts';

const BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  400: 'invalid_request',
  401: 'unauthorized',
  403: 'forbidden',
  // What is not on the sidecar's list of allowed operations has no route there.
  404: 'forbidden',
  405: 'forbidden',
  413: 'body_too_large',
  429: 'overloaded',
  504: 'deadline_exceeded',
};
const RETRY_AFTER_MS = 200;
const DETAIL_CHARS_MAX = 300;

/**
 * What a call through a sidecar deserves. A problem that the called service answered passes with
 * its code; what the sidecar itself answers (its access lists, timeouts, a service that is not
 * there) gets the code that says the same.
 * @param what how the error names what did not answer
 */
export function sidecarError(status: number, text: string, what: string): MemplaneError {
  const body = jsonOf(text);
  if (isProblem(body)) return fromProblem(status, body);
  const code = BY_STATUS[status] ?? 'dependency_unavailable';
  const said = saidBy(body) ?? text;
  const detail = `${what}: the sidecar answered ${status}${said === '' ? '' : `: ${said}`}`;
  const isTransient = ERROR_CODES[code].kind === 'transient';
  return new MemplaneError(code, detail.slice(0, DETAIL_CHARS_MAX), {
    ...(isTransient ? { retryAfterMs: RETRY_AFTER_MS } : {}),
    extra: { sidecarStatus: status, ...(errorCodeOf(body) ?? {}) },
  });
}

function isProblem(body: unknown): boolean {
  const code = (body as { code?: unknown } | undefined | null)?.code;
  return typeof code === 'string' && Object.hasOwn(ERROR_CODES, code);
}

function saidBy(body: unknown): string | undefined {
  const message = (body as { message?: unknown } | undefined | null)?.message;
  return typeof message === 'string' ? message : undefined;
}

function errorCodeOf(body: unknown): { sidecarCode: string } | undefined {
  const code = (body as { errorCode?: unknown } | undefined | null)?.errorCode;
  return typeof code === 'string' ? { sidecarCode: code } : undefined;
}
