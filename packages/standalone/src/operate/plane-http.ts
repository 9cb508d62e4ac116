import type { IncomingMessage } from 'node:http';
import { MemplaneError } from '@memplane/client';
import { SERVICES, type ServiceName } from '@memplane/contracts';

export interface PlaneHttpOptions {
  /** Where event-ingest answers; the other services are on the three ports after it. */
  readonly url: string;
  /** Where the instances of other services answer, if not there. */
  readonly urls?: ServiceUrls;
  readonly token: string | undefined;
  /** How long an answer may take to begin, and a connection may be silent after that. */
  readonly idleTimeoutMs: number;
}

export type ServiceUrls = Partial<Readonly<Record<ServiceName, readonly string[]>>>;

export interface PlaneCall {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly body?: unknown;
  /** Beside those of every call. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly idleTimeoutMs?: number;
}

/** An answer as it came, whatever its status. */
export interface PlaneAnswer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: IncomingMessage;
  /** From the request until the answer began, in milliseconds of the monotonic clock. */
  readonly tookMs: number;
}

export const SERVICE_ORDER = Object.keys(SERVICES) as readonly ServiceName[];

/** The longest document that is read as a whole, in bytes. */
const DOCUMENT_BYTES_MAX = 256 * 1024 * 1024;

/**
 * Plain calls of a plane's services, for operators: one attempt each, streams as they come, and no
 * bound on how long an answer goes on as long as it does.
 */
export class PlaneHttp {
  readonly #options: PlaneHttpOptions;

  constructor(options: PlaneHttpOptions) {
    this.#options = options;
  }

  urlOf(service: ServiceName): string {
    const [known] = this.#options.urls?.[service] ?? [];
    if (known !== undefined) return known.replace(/\/+$/, '');
    const url = new URL(this.#options.url);
    const port = Number(url.port || SERVICES['event-ingest'].port);
    url.port = String(port + SERVICE_ORDER.indexOf(service));
    return url.toString().replace(/\/+$/, '');
  }

  /** The same plane once for each instance of a service that is known: which asks that one. */
  instancesOf(service: ServiceName): PlaneHttp[] {
    const { urls } = this.#options;
    const known = urls?.[service] ?? [];
    if (known.length < 2) return [this];
    return known.map(
      (url) => new PlaneHttp({ ...this.#options, urls: { ...urls, [service]: [url] } }),
    );
  }

  /** @throws MemplaneError `network` where nobody answers */
  async call(service: ServiceName, path: string, call: PlaneCall = {}): Promise<PlaneAnswer> {
    const { token } = this.#options;
    const url = this.urlOf(service) + path;
    const body = call.body === undefined ? undefined : JSON.stringify(call.body);
    const headers = {
      accept: 'application/json, application/x-ndjson;q=0.9, */*;q=0.1',
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...call.headers,
    };
    const module = process.getBuiltinModule(url.startsWith('https:') ? 'node:https' : 'node:http');
    const idleMs = call.idleTimeoutMs ?? this.#options.idleTimeoutMs;
    const startedAt = performance.now();
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const options = { method: call.method ?? 'GET', headers, agent: false, timeout: idleMs };
      const request = module.request(url, options, resolve);
      const silent = () => request.destroy(new Error(`silent for ${idleMs} ms`));
      request.on('timeout', silent).on('error', reject).end(body);
    }).catch((cause: Error) => {
      throw new MemplaneError('network', `${service} does not answer at ${url}: ${cause.message}`, {
        transient: true,
        cause,
      });
    });
    const { statusCode: status = 0 } = answer;
    const tookMs = performance.now() - startedAt;
    return { status, headers: answer.headers, body: answer, tookMs };
  }

  /** The answer to a call that went well. @throws MemplaneError the problem that was answered */
  async open(service: ServiceName, path: string, call?: PlaneCall): Promise<PlaneAnswer> {
    const answer = await this.call(service, path, call);
    if (answer.status >= 200 && answer.status < 300) return answer;
    throw problemOf(service, answer.status, await documentOf(answer.body).catch(() => undefined));
  }

  /** The document that a call answers. @throws MemplaneError as {@link open} */
  async json<T>(service: ServiceName, path: string, call?: PlaneCall): Promise<T> {
    const { body } = await this.open(service, path, call);
    return (await documentOf(body)) as T;
  }
}

/** @throws SyntaxError for what is no JSON */
export async function documentOf(body: AsyncIterable<Buffer>): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > DOCUMENT_BYTES_MAX) throw new Error('the answer is too long');
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString('utf8'));
}

function problemOf(service: ServiceName, status: number, document: unknown): MemplaneError {
  const { code, detail, transient } = (document ?? {}) as Record<string, unknown>;
  const known = typeof code === 'string';
  return new MemplaneError(
    known ? code : 'bad_answer',
    `${service}: ${typeof detail === 'string' ? detail : `answered ${status}`}`,
    { status, transient: transient === true },
  );
}
