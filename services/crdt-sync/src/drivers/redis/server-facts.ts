import { unavailable } from './redis-error.ts';

/** What is asked of a Redis before it is used, and said in `/readyz` and the log. */
export interface ServerFacts {
  readonly version: string;
  /** Another one at each start of the server. */
  readonly runId: string;
  readonly appendonly: boolean;
  /** `unknown` where the server refuses CONFIG GET. */
  readonly appendfsync: string;
}

export type Fsync = 'always' | 'everysec';
type Ask = (words: readonly string[]) => Promise<unknown>;

export async function askFacts(ask: Ask): Promise<ServerFacts> {
  const info = new Map<string, string>();
  for (const section of ['server', 'replication', 'persistence', 'memory']) {
    for (const line of String(await ask(['INFO', section])).split('\r\n')) {
      const colon = line.indexOf(':');
      if (colon > 0) info.set(line.slice(0, colon), line.slice(colon + 1));
    }
  }
  const version = info.get('redis_version') ?? '0';
  if (Number.parseInt(version, 10) < 7) throw unavailable(`Redis ${version} is older than 7.`);
  if (info.get('role') !== 'master') throw unavailable('The Redis is a replica of another.');
  const policy = info.get('maxmemory_policy') ?? 'noeviction';
  if (info.get('maxmemory') !== '0' && policy.startsWith('allkeys')) {
    throw unavailable(`The Redis throws values away when it is full (maxmemory-policy ${policy}).`);
  }
  return {
    version,
    runId: info.get('run_id') ?? '',
    appendonly: info.get('aof_enabled') === '1',
    appendfsync: await askFsync(ask),
  };
}

/** @throws MemplaneError `storage_unavailable` for a Redis that keeps less than is asked */
export function checkDurability(facts: ServerFacts, required: Fsync): void {
  const { appendonly, appendfsync } = facts;
  const enough = required === 'always' ? ['always'] : ['always', 'everysec', 'unknown'];
  if (!appendonly) throw unavailable('The Redis keeps nothing over a restart (appendonly no).');
  if (!enough.includes(appendfsync)) {
    throw unavailable(`The Redis has appendfsync ${appendfsync}; ${required} is asked for.`);
  }
}

/** A managed Redis may refuse CONFIG. */
async function askFsync(ask: Ask): Promise<string> {
  try {
    const answer = await ask(['CONFIG', 'GET', 'appendfsync']);
    return Array.isArray(answer) ? String(answer[1]) : 'unknown';
  } catch {
    return 'unknown';
  }
}
