import { MemplaneError } from '@memplane/contracts';

/** Rewriting the files of a member takes as long as they are large. */
const TIMEOUT_MS = 60_000;
const PAGE_KEYS = 1_000;

/**
 * etcd by the JSON gateway of its own API, for what a sidecar has no call for
 * (https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/). Any member answers for all.
 */
export class Etcd {
  /** Of all members. */
  readonly urls: readonly string[];

  /** @param endpoints URLs, or `host:port`, separated by commas */
  constructor(endpoints: string) {
    this.urls = endpoints.split(',').map(urlOf);
  }

  /** All keys that begin with a prefix, in order. @throws MemplaneError `dependency_unavailable` */
  async *keys(prefix: string): AsyncGenerator<string> {
    const end = base64(after(Buffer.from(prefix)));
    let key = base64(Buffer.from(prefix));
    for (;;) {
      const range = { key, range_end: end, limit: PAGE_KEYS, keys_only: true };
      const { kvs = [], more } = (await this.call('kv/range', range)) as Range;
      for (const found of kvs) yield Buffer.from(found.key, 'base64').toString();
      const last = kvs.at(-1);
      if (last === undefined || more !== true) return;
      key = base64(Buffer.concat([Buffer.from(last.key, 'base64'), Buffer.from([0])]));
    }
  }

  /**
   * Writes a key that is not there yet. @returns whether it was written
   * @throws MemplaneError `dependency_unavailable`: it may have been written
   */
  async create(key: string, value: Uint8Array): Promise<boolean> {
    const name = base64(Buffer.from(key));
    const { succeeded } = (await this.call('kv/txn', {
      compare: [{ target: 'CREATE', result: 'EQUAL', key: name, create_revision: '0' }],
      success: [{ request_put: { key: name, value: base64(value) } }],
    })) as { succeeded?: boolean };
    return succeeded === true;
  }

  /**
   * @param urls who is asked, one after the other until one answers
   * @throws MemplaneError `dependency_unavailable`
   */
  async call(path: string, body: object, urls = this.urls): Promise<unknown> {
    let cause: unknown;
    for (const url of urls) {
      try {
        return await post(`${url}/v3/${path}`, body);
      } catch (error) {
        cause = error;
      }
    }
    throw new MemplaneError('dependency_unavailable', `etcd at ${urls} does not ${path}.`, {
      cause,
      retryAfterMs: 5_000,
    });
  }
}

interface Range {
  readonly kvs?: readonly { readonly key: string }[];
  readonly more?: boolean;
}

async function post(url: string, body: object): Promise<unknown> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const text = await response.text();
  if (response.ok) return JSON.parse(text);
  // Somebody else has compacted it that far, or farther.
  if (text.includes('has been compacted')) return {};
  throw new Error(`${response.status} ${text.slice(0, 200)}`);
}

function urlOf(endpoint: string): string {
  const text = endpoint.trim().replace(/\/$/, '');
  return text.includes('://') ? text : `http://${text}`;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

/** The first key behind all that begin with a prefix, which does not end with the highest byte. */
function after(prefix: Buffer): Buffer {
  const end = Buffer.from(prefix);
  const last = end.length - 1;
  end.writeUInt8(end.readUInt8(last) + 1, last);
  return end;
}
