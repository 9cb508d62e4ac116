import { backoffMs } from './backoff.ts';
import { errorFromAnswer, MemplaneError } from './errors.ts';
import type { ServiceName, Settings } from './options.ts';
import { RetryBudget } from './retry-budget.ts';
import { sleep } from './sleep.ts';

/** What every call takes. */
export interface CallOptions {
  /** Ends the call; it then rejects with `aborted`. */
  readonly signal?: AbortSignal;
  /** The longest that the call may take with all its repetitions, in milliseconds. */
  readonly timeoutMs?: number;
}

export interface HttpCall extends CallOptions {
  readonly service: ServiceName;
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | readonly string[] | undefined>>;
  readonly body?: unknown;
  /** The body as finished JSON text, instead of `body`. */
  readonly bodyText?: string;
  /**
   * `always`: a repetition does no harm, whatever became of the first try (reads, and writes that
   * carry an id). `refused`: repeat only what was certainly not done.
   */
  readonly repeat: 'always' | 'refused';
}

/** Codes with which the plane says that it has done nothing. */
const REFUSED = new Set([
  ...['overloaded', 'quota_exceeded', 'archive_behind', 'views_behind', 'index_behind'],
]);

export class Http {
  readonly #settings: Settings;
  readonly #budget = new RetryBudget(performance.now());

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** The answer's JSON; undefined where it has none. */
  async json(call: HttpCall): Promise<unknown> {
    return this.#retrying(call, async (signal) => {
      const response = await this.#send(call, 'application/json', signal);
      if (response.status === 204) return undefined;
      const text = await response.text();
      try {
        return text === '' ? undefined : (JSON.parse(text) as unknown);
      } catch (cause) {
        throw new MemplaneError('bad_answer', 'The answer is no JSON: is this a plane?', {
          status: response.status,
          cause,
        });
      }
    });
  }

  /** The answer's bytes as they come. Only the start is repeated and has a deadline. */
  async stream(call: HttpCall, accept: string): Promise<AsyncIterable<Uint8Array>> {
    const start = new AbortController();
    const forward = () => start.abort(call.signal?.reason);
    call.signal?.addEventListener('abort', forward, { once: true });
    return this.#retrying({ ...call }, async (signal) => {
      const giveUp = () => start.abort(signal.reason);
      signal.addEventListener('abort', giveUp, { once: true });
      try {
        const response = await this.#send(call, accept, start.signal);
        return (response.body ?? []) as unknown as AsyncIterable<Uint8Array>;
      } finally {
        signal.removeEventListener('abort', giveUp);
      }
    });
  }

  async #retrying<T>(call: HttpCall, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const settings = this.#settings;
    const timeoutMs = call.timeoutMs ?? settings.timeoutMs;
    const deadlineMs = performance.now() + timeoutMs;
    const timeout = AbortSignal.timeout(Math.min(timeoutMs, 2 ** 31 - 1));
    const signal = call.signal ? AbortSignal.any([call.signal, timeout]) : timeout;
    this.#budget.earn();
    for (let attempt = 0; ; attempt++) {
      try {
        if (signal.aborted) throw signal.reason;
        return await work(signal);
      } catch (cause) {
        const error = toError(cause, call, timeout, timeoutMs);
        if (!mayRepeat(error, call.repeat) || attempt >= settings.retries_max) throw error;
        const waitMs = this.#waitMs(error, attempt, deadlineMs);
        if (waitMs === undefined) throw error;
        await sleep(waitMs, signal).catch((reason: unknown) => {
          throw toError(reason, call, timeout, timeoutMs);
        });
      }
    }
  }

  /** Until the repetition; undefined where it would come too late. */
  #waitMs(error: MemplaneError, attempt: number, deadlineMs: number): number | undefined {
    const nowMs = performance.now();
    const backoff = backoffMs(attempt, this.#settings, error.retryAfterMs, Math.random());
    // What reached nobody is no load.
    const isLoad = error.status >= 429;
    const waitMs = Math.max(backoff, isLoad ? this.#budget.spend(nowMs) : 0);
    if (nowMs + waitMs < deadlineMs) return waitMs;
    if (isLoad) this.#budget.giveBack();
    return undefined;
  }

  async #send(call: HttpCall, accept: string, signal: AbortSignal): Promise<Response> {
    const settings = this.#settings;
    const url = `${settings.bases[call.service]}${call.path}${queryText(call.query)}`;
    const body = call.bodyText ?? (call.body === undefined ? undefined : JSON.stringify(call.body));
    const response = await settings.fetch(url, {
      method: call.method,
      headers: {
        ...settings.headers,
        accept,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      signal,
      ...(body === undefined ? {} : { body }),
    });
    if (response.ok) return response;
    const problem: unknown = await response.json().catch(() => undefined);
    throw errorFromAnswer(response.status, problem, response.headers.get('retry-after'));
  }
}

function toError(
  cause: unknown,
  call: HttpCall,
  timeout: AbortSignal,
  timeoutMs: number,
): MemplaneError {
  if (cause instanceof MemplaneError) return cause;
  if (call.signal?.aborted) {
    return new MemplaneError('aborted', 'The call was aborted.', { cause: call.signal.reason });
  }
  if (timeout.aborted) {
    return new MemplaneError('deadline_exceeded', `No answer within ${timeoutMs} ms.`, {
      transient: true,
      cause,
    });
  }
  return new MemplaneError('network', `${call.service} does not answer: ${reasonOf(cause)}.`, {
    transient: true,
    cause,
    extra: { refused: connectionRefused(cause) },
  });
}

function mayRepeat(error: MemplaneError, repeat: HttpCall['repeat']): boolean {
  if (!error.transient) return false;
  // It was done, where it was asked, and only a majority is missing: another replica may not know.
  if (error.extra['durable'] === true) return false;
  if (repeat === 'always') return error.code !== 'deadline_exceeded' || error.status !== 0;
  return REFUSED.has(error.code) || error.extra['refused'] === true;
}

function causeCode(cause: unknown): string | undefined {
  const inner = cause instanceof Error && cause.cause !== undefined ? cause.cause : cause;
  if (typeof inner !== 'object' || inner === null || !('code' in inner)) return undefined;
  return String(inner.code);
}

function connectionRefused(cause: unknown): boolean {
  const code = causeCode(cause);
  return code === 'ECONNREFUSED' || code === 'ENOTFOUND' || code === 'ConnectionRefused';
}

function reasonOf(cause: unknown): string {
  return causeCode(cause) ?? (cause instanceof Error ? cause.message : String(cause));
}

function queryText(query: HttpCall['query']): string {
  if (!query) return '';
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const item of typeof value === 'object' ? value : [value]) {
      if (item !== undefined) params.append(name, String(item));
    }
  }
  const text = params.toString();
  return text === '' ? '' : `?${text}`;
}
