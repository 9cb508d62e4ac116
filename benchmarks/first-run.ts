/**
 * What a newcomer waits for: a clone of this repository, an npm cache that is empty, `make run`, until
 * all four services are ready; then `make run` again, on the same data, several times. Ended as by
 * Ctrl-C each time. Needs git and the package registry, with the machine's own Node, npm and make.
 *
 *     node benchmarks/first-run.ts [rounds]
 *
 * The short form leaves the clone and the installation out and starts this repository as it is.
 */
import { execFileSync, spawn } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { call, planeEnv, planePorts, ScratchFolder, SERVICE_NAMES } from '@memplane/testkit';
import { summarize } from './lib/rounds.ts';
import { atMost, emitRow, SHORT } from './lib/row.ts';

const [ROUNDS = SHORT ? 2 : 5] = process.argv.slice(2).map(Number);
const TIMEOUT_MS = 600_000;
const END_TIMEOUT_MS = 30_000;
const POLL_MS = 20;

const repository = fileURLToPath(new URL('../', import.meta.url));
using folder = new ScratchFolder('bench-first-run');
const clone = SHORT ? repository : join(folder.path, 'clone');
const ports = await planePorts();
const env = newcomersEnv();

if (!SHORT) {
  execFileSync('git', ['clone', '--quiet', repository, clone], { timeout: TIMEOUT_MS });
  const firstMs = await readyAfter();
  console.log(`first make run, with the installation: ready after ${seconds(firstMs)} s`);
  const first = summarize('first', [firstMs / 1000]);
  const note = 'from a clone and an empty npm cache; most of it is the registry and the disk';
  emitRow('first `make run`, until ready', atMost(180, 's'), first, { note });
}
const again: number[] = [];
for (let round = 0; round < ROUNDS; round++) again.push(await readyAfter());
console.log(`the next ones: ready after ${again.map(seconds).join(', ')} s`);
emitRow('next `make run`, until ready', atMost(5_000, 'ms'), summarize('again', again));

/** @returns milliseconds from the exec of `make run` until every service is ready */
async function readyAfter(): Promise<number> {
  const started = performance.now();
  // A process group of its own, that gets the signal whole, as from a terminal.
  const child = spawn('make', ['run'], { cwd: clone, env, detached: true, stdio: 'pipe' });
  let output = '';
  const keep = (part: Buffer) => {
    output = (output + part.toString('utf8')).slice(-10_000);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  let running = true;
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => {
      running = false;
      resolve();
    });
  });
  const kill = (signal: NodeJS.Signals) => {
    if (running && child.pid !== undefined) process.kill(-child.pid, signal);
  };
  const end = () => kill('SIGKILL');
  process.once('exit', end);
  try {
    const waiting = new Set(SERVICE_NAMES);
    while (waiting.size > 0) {
      const elapsedMs = performance.now() - started;
      if (!running || elapsedMs > TIMEOUT_MS) throw new Error(`no plane: ${output}`);
      for (const name of waiting) if (await isReady(ports[name])) waiting.delete(name);
      if (waiting.size > 0) await setTimeout(POLL_MS);
    }
    const elapsedMs = performance.now() - started;
    kill('SIGINT');
    const late = setTimeout(END_TIMEOUT_MS, 'late' as const, { ref: false });
    if ((await Promise.race([ended, late])) === 'late') throw new Error(`does not end: ${output}`);
    return elapsedMs;
  } finally {
    end();
    process.off('exit', end);
  }
}

async function isReady(port: number): Promise<boolean> {
  try {
    const url = `http://127.0.0.1:${port}/readyz`;
    return (await call('GET', url, { timeoutMs: 5_000 })).status === 200;
  } catch {
    return false;
  }
}

/** The caller's, without this repository's tools, without make's own variables and settings. */
function newcomersEnv(): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && !/^(MAKE|MFLAGS|MEMPLANE_|OTEL_|NODE_)/.test(name)) {
      kept[name] = value;
    }
  }
  const path = (process.env['PATH'] ?? '').split(delimiter);
  kept['PATH'] = path.filter((part) => !part.startsWith(repository)).join(delimiter);
  kept['npm_config_cache'] = join(folder.path, 'npm-cache');
  return { ...kept, ...planeEnv(join(folder.path, 'data'), ports) };
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(2);
}
