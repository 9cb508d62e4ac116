import { type ClearedStore, MemplaneError } from '@memplane/contracts';

/** Rewriting the files of a member takes as long as they are large. */
const TIMEOUT_MS = 60_000;
const NOTE =
  "Compacted and defragmented. etcd's write-ahead log has removed keys, wrapped, until its files turn.";

/**
 * Makes earlier revisions go from etcd's database: what a removed key was, wrapped by the master key.
 * By the JSON gateway of its API, since a sidecar has no call for it: compaction at the revision of now
 * for all members, then defragmentation of one after the other
 * (https://etcd.io/docs/v3.5/op-guide/maintenance/).
 * @param endpoints URLs, or `host:port`, separated by commas; every member's
 * @param now milliseconds since 1970
 * @throws MemplaneError `dependency_unavailable`
 */
export async function clearEtcd(endpoints: string, now: () => number): Promise<ClearedStore> {
  const urls = endpoints.split(',').map(urlOf);
  const [first = ''] = urls;
  const { header } = (await call(first, 'kv/range', { key: 'AA==', count_only: true })) as {
    header: { revision: string };
  };
  await call(first, 'kv/compaction', { revision: header.revision, physical: true });
  for (const url of urls) await call(url, 'maintenance/defragment', {});
  return { store: 'strong', isClear: true, at: new Date(now()).toISOString(), note: NOTE };
}

function urlOf(endpoint: string): string {
  const text = endpoint.trim().replace(/\/$/, '');
  return text.includes('://') ? text : `http://${text}`;
}

async function call(url: string, path: string, body: object): Promise<unknown> {
  try {
    const response = await fetch(`${url}/v3/${path}`, {
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
  } catch (cause) {
    throw new MemplaneError('dependency_unavailable', `etcd at ${url} does not ${path}.`, {
      cause,
      retryAfterMs: 5_000,
    });
  }
}
