import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { lastLines } from '../server/log-tail.ts';
import type { ServerPlan } from '../server/plan.ts';
import { isAlive, type RunningServer, startTicksOf } from './record.ts';

const POLL_MS = 50;
const KILL_WAIT_MS = 10_000;
const LOG_LINES = 25;

/** Starts a server that outlives this process. */
export async function launch(plan: ServerPlan): Promise<RunningServer> {
  await plan.prepare();
  mkdirSync(dirname(plan.logFile), { recursive: true });
  const log = openSync(plan.logFile, 'a', 0o600);
  const child = spawn(plan.command, [...plan.args], {
    cwd: plan.cwd,
    env: { ...process.env, ...plan.env },
    stdio: ['ignore', log, log],
    detached: true,
  });
  closeSync(log);
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', () => resolve());
    child.once('error', reject);
  });
  child.unref();
  const pid = child.pid ?? -1;
  return {
    name: plan.name,
    version: plan.version,
    tier: plan.tier ?? 'server',
    pid,
    startTicks: startTicksOf(pid) ?? -1,
    ports: plan.ports,
    logFile: plan.logFile,
    stopTimeoutMs: plan.stopTimeoutMs,
  };
}

/** Waits until it serves. @throws Error with the log's last lines when it does not */
export async function awaitReady(plan: ServerPlan, server: RunningServer): Promise<void> {
  const deadline = performance.now() + plan.readyTimeoutMs;
  for (;;) {
    try {
      await plan.check();
      return;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const what = !isAlive(server)
        ? 'ended'
        : performance.now() > deadline
          ? `not ready in ${plan.readyTimeoutMs} ms`
          : undefined;
      if (what) {
        const tail = lastLines(plan.logFile, LOG_LINES);
        throw new Error(`${plan.name}: ${what} (${reason}); ${plan.logFile} ends:\n${tail}`);
      }
    }
    await sleep(POLL_MS);
  }
}

/** Ends a server, politely first. Says whether it had to be killed. */
export async function end(server: RunningServer): Promise<'was gone' | 'ended' | 'killed'> {
  if (!isAlive(server)) return 'was gone';
  process.kill(server.pid, 'SIGTERM');
  // A paused one hears nothing.
  process.kill(server.pid, 'SIGCONT');
  if (await isGone(server, server.stopTimeoutMs)) return 'ended';
  process.kill(server.pid, 'SIGKILL');
  if (!(await isGone(server, KILL_WAIT_MS))) {
    throw new Error(`${server.name}: process ${server.pid} does not end`);
  }
  return 'killed';
}

async function isGone(server: RunningServer, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (isAlive(server)) {
    if (performance.now() > deadline) return false;
    await sleep(POLL_MS);
  }
  return true;
}
