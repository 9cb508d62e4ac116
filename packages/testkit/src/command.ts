import { type ChildProcess, spawn } from 'node:child_process';
import { type PlanePorts, planeEntry, planePorts } from './plane.ts';
import { takenPorts } from './ports.ts';

export interface CommandRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  /** Where event-ingest answers. */
  readonly url?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** The `memplane` command as a script would run it, under way. */
export function startCommand(args: readonly string[], options: CommandOptions = {}): ChildProcess {
  const { url, env = {} } = options;
  const home = { PATH: process.env['PATH'], HOME: process.env['HOME'] };
  return spawn(process.execPath, [planeEntry(), ...args], {
    cwd: '/',
    env: { ...home, ...(url === undefined ? {} : { MEMPLANE_URL: url }), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Runs the `memplane` command to its end. */
export async function runCommand(
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandRun> {
  const child = startCommand(args, options);
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (part: Buffer) => {
    stdout += part.toString('utf8');
  });
  child.stderr?.on('data', (part: Buffer) => {
    stderr += part.toString('utf8');
  });
  const code = await new Promise<number>((resolve) => {
    child.once('close', (exitCode) => resolve(exitCode ?? -1));
  });
  return { code, stdout, stderr };
}

/** Ports of a plane as the command looks for them: the services on four in a row. */
export async function portsInRow(): Promise<PlanePorts> {
  const others = await planePorts();
  for (let tries = 0; tries < 500; tries++) {
    const base = 20_000 + 10 * Math.floor(Math.random() * 1_000);
    if ((await takenPorts([base, base + 1, base + 2, base + 3])).length > 0) continue;
    return {
      ...others,
      'event-ingest': base,
      materializer: base + 1,
      'crdt-sync': base + 2,
      'vector-index': base + 3,
    };
  }
  throw new Error('no four free ports in a row');
}
