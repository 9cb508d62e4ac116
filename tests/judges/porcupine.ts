import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { built, runBuild } from '@memplane/stack';
import type { Operation } from './strong-load.ts';

const VERSION = '1.3.1';
export const PORCUPINE_FOLDER = fileURLToPath(new URL('porcupine', import.meta.url));

export interface Verdict {
  readonly operations: number;
  /** How many entities and leases were judged, each by itself. */
  readonly histories: number;
  readonly illegal: readonly string[];
  /** What could not be judged in time. */
  readonly undecided: readonly string[];
}

/** The judge, built once: porcupine with the models of `porcupine/`. */
export async function porcupine(): Promise<string> {
  const files = globSync(['go.mod', 'go.sum', '*.go'], { cwd: PORCUPINE_FOLDER }).sort();
  const { folder } = await built({
    part: 'porcupine',
    version: VERSION,
    says: 'building the judge of linearizability (a few seconds, only once)',
    inputs: files.map((file) => readFileSync(join(PORCUPINE_FOLDER, file), 'utf8')),
    build: (making) =>
      runBuild({
        part: 'porcupine',
        command: 'go',
        args: ['build', '-trimpath', '-mod=readonly', '-o', join(making, 'porcupine'), '.'],
        cwd: PORCUPINE_FOLDER,
        env: { CGO_ENABLED: '0' },
      }),
  });
  return join(folder, 'porcupine');
}

/** @throws Error where the history can't be read */
export function judge(command: string, history: readonly Operation[]): Verdict {
  const input = history.map((operation) => JSON.stringify(operation)).join('\n');
  const { stdout, stderr } = spawnSync(command, { input, encoding: 'utf8', maxBuffer: 64 << 20 });
  if (stdout === '') throw new Error(`porcupine: ${stderr}`);
  return JSON.parse(stdout) as Verdict;
}
