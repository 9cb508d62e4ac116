import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { goBinary } from '@memplane/stack';
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
export function porcupine(): Promise<string> {
  const program = {
    part: 'porcupine',
    version: VERSION,
    says: 'building the judge of linearizability (a few seconds, only once)',
    module: PORCUPINE_FOLDER,
    targets: ['.'],
    sources: globSync('*.go', { cwd: PORCUPINE_FOLDER }).sort(),
  };
  return goBinary(program, 'porcupine');
}

/** @throws Error where the history can't be read */
export function judge(command: string, history: readonly Operation[]): Verdict {
  const input = history.map((operation) => JSON.stringify(operation)).join('\n');
  const { stdout, stderr } = spawnSync(command, { input, encoding: 'utf8', maxBuffer: 64 << 20 });
  if (stdout === '') throw new Error(`porcupine: ${stderr}`);
  return JSON.parse(stdout) as Verdict;
}
