import { MemplaneError } from '@memplane/contracts';
import { context, propagation, type Context as TraceContext } from '@opentelemetry/api';
import { ConfigError, type Env } from '../config.ts';
import { sidecarError } from './sidecar-error.ts';

/** Where an application's own sidecar is, and the secrets that the two prove themselves by. */
export interface SidecarConfig {
  /** Without a slash at its end. */
  readonly url: string;
  /** Shown to the sidecar (`dapr-api-token`). */
  readonly apiToken: string;
  /** Shown by the sidecar when it calls the application. */
  readonly appToken: string;
}

/**
 * Reads the variables that Dapr itself sets beside an application: `DAPR_HTTP_ENDPOINT` or
 * `DAPR_HTTP_PORT`, `DAPR_API_TOKEN`, `APP_API_TOKEN`. Undefined where no sidecar is named.
 * @throws ConfigError where one is named without both tokens: that would leave a door open
 */
export function readSidecarConfig(env: Env): SidecarConfig | undefined {
  const port = env['DAPR_HTTP_PORT'];
  const url = env['DAPR_HTTP_ENDPOINT'] || (port ? `http://127.0.0.1:${port}` : undefined);
  if (!url) return undefined;
  const apiToken = env['DAPR_API_TOKEN'];
  const appToken = env['APP_API_TOKEN'];
  if (!apiToken || !appToken) {
    throw new ConfigError(
      'a sidecar needs both tokens: DAPR_API_TOKEN (the application shows it to the sidecar) and ' +
        'APP_API_TOKEN (the sidecar shows it to the application)',
    );
  }
  return { url: url.replace(/\/+$/, ''), apiToken, appToken };
}

export const API_TOKEN_HEADER = 'dapr-api-token';

export interface SidecarCall {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** After the sidecar's address, e.g. `/v1.0/state/state`. */
  readonly path: string;
  readonly body?: unknown;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  readonly trace?: TraceContext;
  /** How errors name what did not answer, e.g. `The state store`. */
  readonly what: string;
  /** Statuses beside 2xx that are answers, not errors. */
  readonly alsoAnswers?: readonly number[];
}

/**
 * One call of the sidecar's own API.
 * @throws MemplaneError coded: `unauthorized`, `forbidden`, `invalid_request`, `body_too_large`,
 * `deadline_exceeded`, `dependency_unavailable`
 */
export async function callSidecar(sidecar: SidecarConfig, call: SidecarCall): Promise<Response> {
  const headers: Record<string, string> = { [API_TOKEN_HEADER]: sidecar.apiToken };
  propagation.inject(call.trace ?? context.active(), headers);
  if (call.body !== undefined) headers['content-type'] = 'application/json';
  const deadline = AbortSignal.timeout(call.timeoutMs);
  let response: Response;
  try {
    response = await fetch(sidecar.url + call.path, {
      method: call.method,
      headers,
      signal: call.signal ? AbortSignal.any([call.signal, deadline]) : deadline,
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
    });
  } catch (cause) {
    if (call.signal?.aborted) throw call.signal.reason;
    throw new MemplaneError('dependency_unavailable', `${call.what}: no answer by the sidecar.`, {
      cause,
      retryAfterMs: 200,
    });
  }
  if (response.ok || call.alsoAnswers?.includes(response.status)) return response;
  throw sidecarError(response.status, await response.text().catch(() => ''), call.what);
}

const READY_POLL_MS = 100;
const READY_TIMEOUT_MS = 1_000;

/**
 * Waits until the sidecar has loaded its components. It does so whether or not the application
 * listens already, so that one may read its secrets before it does.
 * @throws MemplaneError `dependency_unavailable` after `timeoutMs`
 */
export async function waitForSidecar(sidecar: SidecarConfig, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      await callSidecar(sidecar, {
        method: 'GET',
        path: '/v1.0/healthz/outbound',
        timeoutMs: READY_TIMEOUT_MS,
        what: 'The sidecar',
      });
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
  }
}
