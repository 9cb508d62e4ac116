import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { built, type Recipe } from './cache.ts';
import { runBuild } from './command.ts';

/** Functions, which hold the merges of the counters and sets, came with Redis 7. */
const MAJOR_MIN = 7;
const PACKAGES = [
  ...['redis-server', 'redis-tools', 'libjemalloc2', 'liblzf1'],
  ...['liblua5.1-0', 'lua-bitop', 'lua-cjson', 'libatomic1'],
];
const SCRIPT = `set -e
fetch() { apt-get download ${PACKAGES.join(' ')}; }
fetch || { [ "$(id -u)" = 0 ] && apt-get update && fetch; }
for package in *.deb; do dpkg-deb --extract "$package" .; done
rm -f *.deb`;

export interface RedisBinary {
  readonly command: string;
  readonly version: string;
  /** Where its shared libraries are, when they are not the system's. */
  readonly libraryPath: string | undefined;
}

export function redisRecipe(): Recipe {
  return {
    part: 'redis',
    version: 'packaged',
    says: "unpacking the distribution's package beside the system (a few seconds, only once)",
    inputs: [SCRIPT],
    build: (folder) =>
      runBuild({ part: 'redis', command: 'sh', args: ['-c', SCRIPT], cwd: folder }),
  };
}

/** The machine's own redis-server if it is new enough, else the distribution's package, unpacked. */
export async function redisBinary(): Promise<RedisBinary> {
  const own = versionOf('redis-server');
  if (own !== undefined && Number.parseInt(own, 10) >= MAJOR_MIN) {
    return { command: 'redis-server', version: own, libraryPath: undefined };
  }
  return packagedRedis();
}

export async function packagedRedis(): Promise<RedisBinary> {
  const { folder } = await built(redisRecipe());
  const arch = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  const libraryPath = [join(folder, `usr/lib/${arch}-linux-gnu`), join(folder, 'usr/lib')]
    .filter((path) => existsSync(path))
    .join(':');
  const command = join(folder, 'usr/bin/redis-server');
  const version = versionOf(command, libraryPath);
  if (version === undefined) throw new Error(`redis: ${command} does not run`);
  if (Number.parseInt(version, 10) < MAJOR_MIN) {
    throw new Error(`redis: the distribution's is ${version}; ${MAJOR_MIN}.0 or newer is needed`);
  }
  return { command, version, libraryPath };
}

/** `redis-cli`, `redis-benchmark` or another program that came with that server. */
export async function redisTool(
  name: string,
): Promise<{ readonly command: string; readonly env: Readonly<Record<string, string>> }> {
  const { command, libraryPath } = await redisBinary();
  if (libraryPath === undefined) return { command: name, env: {} };
  return { command: join(dirname(command), name), env: { LD_LIBRARY_PATH: libraryPath } };
}

function versionOf(command: string, libraryPath?: string): string | undefined {
  const answer = spawnSync(command, ['--version'], {
    encoding: 'utf8',
    env: { ...process.env, ...(libraryPath ? { LD_LIBRARY_PATH: libraryPath } : {}) },
  });
  return /v=([\d.]+)/.exec(answer.stdout ?? '')?.[1];
}
