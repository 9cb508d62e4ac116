import { MemplaneError } from '@memplane/contracts';

/** Rewriting the files of a member takes as long as they are large. */
const TIMEOUT_MS = 60_000;

/** URLs of members. @param endpoints URLs, or `host:port`, separated by commas */
export function etcdUrls(endpoints: string): readonly string[] {
  return endpoints.split(',').map((endpoint) => {
    const text = endpoint.trim().replace(/\/$/, '');
    return text.includes('://') ? text : `http://${text}`;
  });
}

/**
 * One call of etcd's own API, by its JSON gateway (https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/):
 * a sidecar has none for what is done here.
 * @throws MemplaneError `dependency_unavailable`
 */
export async function callEtcd(url: string, path: string, body: string): Promise<unknown> {
  try {
    const response = await fetch(`${url}/v3/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await response.text();
    if (response.ok) return JSON.parse(text);
    // Somebody else has compacted it that far, or farther.
    if (text.includes('has been compacted')) return {};
    throw new Error(`${response.status} ${text.slice(0, 200)}`);
  } catch (cause) {
    throw new MemplaneError('dependency_unavailable', `etcd at ${url} does not ${path}.`, {
      cause,
      retryAfterMs: 5_000,
    });
  }
}
