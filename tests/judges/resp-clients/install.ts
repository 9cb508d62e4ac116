import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { built, runBuild } from '@memplane/stack';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const text = (path: string) => readFileSync(here(path), 'utf8');

/** Builds the program on go-redis, locked, into the user's cache, once. @returns its command */
export async function goProgram(): Promise<readonly string[]> {
  const sources = ['go/go.mod', 'go/go.sum', 'go/main.go'];
  const { folder } = await built({
    part: 'judge-go-redis',
    version: '9',
    says: 'building a program with its Go module (about a minute, only once)',
    inputs: sources.map(text),
    build: (to) =>
      runBuild({
        part: 'judge-go-redis',
        command: 'go',
        args: ['build', '-trimpath', '-mod=readonly', '-o', `${to}/program`, '.'],
        cwd: here('go'),
        env: { CGO_ENABLED: '0' },
      }),
  });
  return [join(folder, 'program')];
}

/** Installs redis-py, locked, into the user's cache, once. @returns the command of its program */
export async function pythonProgram(): Promise<readonly string[]> {
  const requirements = here('python/requirements.txt');
  const script = `python3 -m venv . && bin/pip install --quiet --no-deps -r '${requirements}'`;
  const { folder } = await built({
    part: 'judge-redis-py',
    version: '8',
    says: 'installing the client (a few seconds, only once)',
    inputs: [script, text('python/requirements.txt')],
    build: (to) =>
      runBuild({ part: 'judge-redis-py', command: 'sh', args: ['-c', script], cwd: to }),
  });
  return [join(folder, 'bin/python'), here('python/program.py')];
}

/** ioredis is one of the project's own development dependencies. */
export function nodeProgram(): readonly string[] {
  return [process.execPath, here('ioredis.ts')];
}
