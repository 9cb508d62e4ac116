import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { freePorts } from '@memplane/testkit/ports';
import { redisBinary } from '../build/redis.ts';
import type { ServerPlan } from './plan.ts';

const TIMEOUT_MS = 3_000;

export interface RedisOptions {
  readonly dir: string;
  readonly name?: string;
  readonly port?: number;
  /** Where it listens; 127.0.0.1 unless said otherwise. */
  readonly address?: string;
  readonly password?: string;
  /** Settings that replace or extend ours, e.g. `{maxmemory: '64mb'}`. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface RedisPlan extends ServerPlan {
  readonly port: number;
}

/** A Redis whose every acknowledged write is on disk (`appendfsync always`). */
export async function redisPlan(options: RedisOptions): Promise<RedisPlan> {
  const { command, version, libraryPath } = await redisBinary();
  const port = options.port ?? (await freePorts(1))[0] ?? 0;
  const { address = '127.0.0.1', dir } = options;
  const file = join(dir, 'redis.conf');
  const settings: Record<string, string> = {
    bind: address,
    port: String(port),
    dir: join(dir, 'data'),
    appendonly: 'yes',
    appendfsync: 'always',
    save: '""',
    'maxmemory-policy': 'noeviction',
    ...(options.password ? { requirepass: options.password } : {}),
    ...options.settings,
  };
  return {
    name: options.name ?? 'redis',
    version,
    command,
    args: [file],
    cwd: dir,
    env: libraryPath ? { LD_LIBRARY_PATH: libraryPath } : {},
    ports: [port],
    logFile: join(dir, 'redis.log'),
    prepare: async () => {
      mkdirSync(join(dir, 'data'), { recursive: true });
      const lines = Object.entries(settings).map(([name, value]) => `${name} ${value}`);
      // In a file of the owner's own, not on the command line: there is a password in it.
      writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 });
    },
    check: () => ping({ host: address, port }, options.password),
    readyTimeoutMs: 30_000,
    stopTimeoutMs: 10_000,
    port,
  };
}

/** @throws Error when it does not answer, or is still loading its data */
function ping(
  { host, port }: { readonly host: string; readonly port: number },
  password: string | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host, timeout: TIMEOUT_MS });
    let answer = '';
    socket.once('connect', () => socket.write(`${password ? `AUTH ${password}\r\n` : ''}PING\r\n`));
    socket.on('data', (part) => {
      answer += part.toString('utf8');
      if (answer.includes('+PONG\r\n')) resolve();
      else if (answer.startsWith('-')) reject(new Error(answer.trim()));
      else return;
      socket.destroy();
    });
    socket.once('timeout', () => socket.destroy(new Error(`port ${port} does not answer`)));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error(`port ${port} closed the connection`)));
  });
}
