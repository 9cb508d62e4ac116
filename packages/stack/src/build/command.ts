import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { lastLines } from '../server/log-tail.ts';
import { cacheFolder } from './cache.ts';

export interface BuildCommand {
  /** Names the log file. */
  readonly part: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 40 * 60_000;

/**
 * Runs one command of a build, politely (`nice`), its output in a log file of the cache folder.
 *
 * @throws Error with the log's last lines when it fails, takes too long or is not installed
 */
export async function runBuild(options: BuildCommand): Promise<void> {
  const logs = join(cacheFolder(), 'logs');
  mkdirSync(logs, { recursive: true });
  const logFile = join(logs, `${options.part}.log`);
  const log = openSync(logFile, 'w');
  const child = spawn('nice', ['-n', '10', options.command, ...options.args], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', log, log],
    timeout: options.timeoutMs ?? TIMEOUT_MS,
  });
  closeSync(log);
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (...end) => resolve(end));
  });
  if (code === 0) return;
  const how = code === 127 ? `${options.command} is not installed` : `ended with ${code ?? signal}`;
  throw new Error(
    `${options.part}: ${options.command} ${options.args[0] ?? ''}: ${how}; ${logFile} says:\n` +
      lastLines(logFile, 30),
  );
}
