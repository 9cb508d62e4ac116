import type { IncomingMessage } from 'node:http';
import type { ServiceName } from '@memplane/contracts';
import { MemplaneError, TENANT_HEADER } from '@memplane/contracts';
import { context, propagation, type Context as TraceContext } from '@opentelemetry/api';
import { httpCall, textOf } from './http-client.ts';
import { fromProblem, jsonOf } from './problem.ts';

export interface InvokeOptions {
  readonly body?: unknown;
  readonly query?: Readonly<Record<string, string | number | readonly string[] | undefined>>;
  /** Whom the call is for; believed only of a service that has proven itself. */
  readonly tenant?: string;
  /** The longest that the call may take, in milliseconds. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  readonly trace?: TraceContext;
}

/** Calls an operation of another service; the same whether a sidecar stands between or not. */
export interface Invoker {
  /** @throws MemplaneError: the callee's own problem, or `dependency_unavailable`. */
  invoke(
    service: ServiceName,
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    options: InvokeOptions,
  ): Promise<unknown>;
  /** Like `invoke`, with the answer's bytes as they come. */
  stream(
    service: ServiceName,
    path: string,
    options: Omit<InvokeOptions, 'body'>,
  ): Promise<AsyncIterable<Uint8Array>>;
}

export interface HttpInvokerOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** The form of a path that goes on the wire. */
  readonly pathOf?: (path: string) => string;
  /** What an answer that is no success means; `what` names the service. */
  readonly errorOf?: (status: number, body: string, what: string) => MemplaneError;
}

/** @param baseUrls where each service answers: itself, or `…/v1.0/invoke/<app>/method` */
export function createHttpInvoker(
  baseUrls: Readonly<Record<ServiceName, string>>,
  how: HttpInvokerOptions = {},
): Invoker {
  const { headers = {}, pathOf = (path) => path, errorOf = problemOf } = how;
  const call = async (
    service: ServiceName,
    method: string,
    path: string,
    options: InvokeOptions,
    accept: string,
  ): Promise<IncomingMessage> => {
    const carried: Record<string, string> = {};
    propagation.inject(options.trace ?? context.active(), carried);
    if (options.tenant !== undefined) carried[TENANT_HEADER] = options.tenant;
    const deadline = AbortSignal.timeout(options.timeoutMs);
    const signal = options.signal ? AbortSignal.any([options.signal, deadline]) : deadline;
    const url = `${baseUrls[service]}${pathOf(path)}${queryText(options.query)}`;
    const body = options.body === undefined ? undefined : JSON.stringify(options.body);
    const type = body === undefined ? {} : { 'content-type': 'application/json' };
    const answer = await orUnavailable(service, options.signal, () =>
      httpCall(url, { method, headers: { ...headers, ...carried, accept, ...type }, body, signal }),
    );
    const status = answer.statusCode ?? 0;
    if (status >= 200 && status < 300) return answer;
    throw errorOf(status, await textOf(answer).catch(() => ''), service);
  };
  return {
    async invoke(service, method, path, options) {
      const answer = await call(service, method, path, options, 'application/json');
      const text = await orUnavailable(service, options.signal, () => textOf(answer));
      return answer.statusCode === 204 ? undefined : JSON.parse(text);
    },
    stream: (service, path, options) => call(service, 'GET', path, options, 'application/x-ndjson'),
  };
}

/** What breaks on the way says that the other side is not there, unless the caller ended the call. */
async function orUnavailable<T>(
  service: ServiceName,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (signal?.aborted) throw signal.reason;
    throw new MemplaneError('dependency_unavailable', `${service} does not answer.`, {
      cause,
      retryAfterMs: 200,
    });
  }
}

function problemOf(status: number, body: string): MemplaneError {
  return fromProblem(status, jsonOf(body));
}

function queryText(query: InvokeOptions['query']): string {
  if (!query) return '';
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item !== undefined) params.append(name, String(item));
    }
  }
  const text = params.toString();
  return text === '' ? '' : `?${text}`;
}
