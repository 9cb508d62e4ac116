import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';

/** An answer as it came; `body` is the parsed JSON, undefined where it is none. */
export interface Answer<T = unknown> {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly body: T;
}

export interface CallOptions {
  /** Sent as JSON; text and bytes are sent as they are. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  readonly agent?: Agent;
}

const shared = new Agent({ keepAlive: true, maxSockets: 128 });

const always = new Map<string, Readonly<Record<string, string>>>();

/** Headers that go with every call to an origin from here on, e.g. a sidecar's token. */
export function sendAlways(origin: string, headers: Readonly<Record<string, string>>): void {
  always.set(origin, headers);
}

/** What {@link sendAlways} was told of the origin of a URL. */
export function headersFor(url: string): Readonly<Record<string, string>> {
  return always.get(url.slice(0, url.indexOf('/', 'http://'.length))) ?? {};
}

/** The connection broke before the answer was complete: nobody knows whether the call was done. */
export class LostAnswer extends Error {
  override readonly name = 'LostAnswer';
}

/**
 * One HTTP call, with nothing between the test and the wire: no retries, no redirects, the path
 * exactly as written (`..` and `%00` included).
 * @throws LostAnswer when there is no complete answer.
 */
export function call<T = unknown>(
  method: string,
  url: string,
  options: CallOptions = {},
): Promise<Answer<T>> {
  const at = url.indexOf('/', 'http://'.length);
  const [hostname = '', port = '80'] = url.slice('http://'.length, at).split(':');
  const payload = encode(options.body);
  const headers: Record<string, string | number> = { ...headersFor(url), ...options.headers };
  if (payload !== undefined) {
    if (!('content-type' in headers)) headers['content-type'] = 'application/json';
    headers['content-length'] = payload.length;
  }
  return new Promise((resolve, reject) => {
    const lost = (cause: Error) => {
      const why = (cause as NodeJS.ErrnoException).code ?? cause.message;
      reject(new LostAnswer(`${method} ${url.slice(0, 200)}: ${why}`, { cause }));
    };
    const request = httpRequest(
      {
        hostname,
        port,
        path: url.slice(at),
        method,
        headers,
        agent: options.agent ?? shared,
        timeout: options.timeoutMs ?? 60_000,
      },
      (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('error', lost);
        response.on('end', () => {
          const text = Buffer.concat(parts).toString('utf8');
          const json = /json$|json *;/.test(response.headers['content-type'] ?? '');
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text,
            body: (json ? parse(text) : undefined) as T,
          });
        });
      },
    );
    request.on('timeout', () => request.destroy(new Error('no answer in time')));
    request.on('error', lost);
    request.end(payload);
  });
}

/** A call that has to answer this status. @throws Error with the whole answer when it does not. */
export async function expectStatus<T>(
  status: number,
  method: string,
  url: string,
  options: CallOptions = {},
): Promise<T> {
  const answer = await call<T>(method, url, options);
  if (answer.status !== status) {
    throw new Error(
      `${method} ${url.slice(0, 300)}: expected ${status}, got ${answer.status}: ` +
        answer.text.slice(0, 1000),
    );
  }
  return answer.body;
}

function encode(body: unknown): Buffer | undefined {
  if (body === undefined) return undefined;
  if (Buffer.isBuffer(body)) return body;
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
