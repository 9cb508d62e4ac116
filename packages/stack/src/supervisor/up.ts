import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { takenPorts } from '@memplane/testkit/ports';
import { withBuildLock } from '../build/lock.ts';
import { type ServerPlan, TIERS } from '../server/plan.ts';
import { awaitReady, end, launch } from './detached.ts';
import { type StackPlans, stackPlans } from './plans.ts';
import { isAlive, type RunningServer, readRecord, writeRecord } from './record.ts';
import type { StackSettings } from './settings.ts';
import { makeTopics } from './topics.ts';

export type Say = (line: string) => void;

/**
 * Starts what does not run yet, in order, and waits until it serves. What runs already is left
 * alone; a port that something else holds is named before anything is started. If one server does
 * not come up, those that this call started are ended again.
 *
 * @param what `stores`: no service and no sidecar
 * @throws Error in words for the user
 */
export async function stackUp(
  settings: StackSettings,
  say: Say,
  what: 'all' | 'stores' = 'all',
): Promise<void> {
  const all = await stackPlans(settings);
  const plans = what === 'all' ? all : { ...all, stages: all.stages.slice(0, 1) };
  await withStackLock(settings, say, () => up(settings, plans, say));
}

/**
 * Ends what this stack started, applications first, and only that: a process is known by its pid and its
 * start. Data stays, unless `clean`.
 */
export async function stackDown(settings: StackSettings, clean: boolean, say: Say): Promise<void> {
  if (!existsSync(settings.dir)) return say('the stack is not up, and there is no data');
  await withStackLock(settings, say, async () => {
    const record = readRecord(settings.dir);
    if (record.length === 0) say('the stack is not up');
    await endAll(record, say);
    writeRecord(settings.dir, []);
    if (!clean) return say(`data stays in ${settings.dir} (CLEAN=1 removes it)`);
    rmSync(settings.dir, { recursive: true, force: true });
    say(`${settings.dir} is removed`);
  });
}

async function up(settings: StackSettings, plans: StackPlans, say: Say): Promise<void> {
  mkdirSync(settings.dir, { recursive: true, mode: 0o700 });
  const running = readRecord(settings.dir).filter(isAlive);
  const there = new Set(running.map((server) => server.name));
  const missing = plans.stages.flat().filter((plan) => !there.has(plan.name));
  if (missing.length === 0) {
    say(`the stack is up already: ${running.length} servers; \`make stack-status\` shows them`);
    return;
  }
  if (there.size > 0) say(`already up: ${[...there].join(', ')}`);
  await refuseTakenPorts(missing);
  const started: RunningServer[] = [];
  const begin = performance.now();
  try {
    for (const [index, stage] of plans.stages.entries()) {
      const todo = stage.filter((plan) => !there.has(plan.name));
      await startStage(settings, todo, running, started, say);
      if (index === 0) {
        const made = await makeTopics(plans.kafka.brokers);
        if (made.length > 0) say(`topics made: ${made.join(', ')}`);
      }
    }
  } catch (error) {
    say('not all came up: ending what was started');
    await endAll(started, say);
    writeRecord(settings.dir, running.filter(isAlive));
    throw error;
  }
  say(`the stack is up after ${seconds(begin)}; \`make stack-env\` tells an agent how to reach it`);
}

async function startStage(
  settings: StackSettings,
  plans: readonly ServerPlan[],
  running: RunningServer[],
  started: RunningServer[],
  say: Say,
): Promise<void> {
  const waits: Promise<void>[] = [];
  for (const plan of plans) {
    const begin = performance.now();
    const server = await launch(plan);
    started.push(server);
    running.push(server);
    // Before it is ready: an `up` that is cut off leaves nothing that `down` does not know.
    writeRecord(settings.dir, running);
    waits.push(
      awaitReady(plan, server).then(() => say(`${plan.name}: ready after ${seconds(begin)}`)),
    );
  }
  const failed = (await Promise.allSettled(waits)).find((wait) => wait.status === 'rejected');
  if (failed) throw failed.reason;
}

async function refuseTakenPorts(plans: readonly ServerPlan[]): Promise<void> {
  const lines: string[] = [];
  for (const plan of plans) {
    const taken = await takenPorts(plan.ports);
    if (taken.length > 0) lines.push(`port ${taken.join(', ')} (${plan.name})`);
  }
  if (lines.length === 0) return;
  throw new Error(
    `in use by another program: ${lines.join('; ')}. Nothing was started. ` +
      'MEMPLANE_STACK_PORT_BASE moves all ports of the stack (default 7200).',
  );
}

async function endAll(servers: readonly RunningServer[], say: Say): Promise<void> {
  for (const tier of TIERS) {
    const ends = servers.filter((server) => server.tier === tier);
    await Promise.all(
      ends.map(async (server) => {
        const begin = performance.now();
        const how = await end(server);
        say(`${server.name} (pid ${server.pid}): ${how} after ${seconds(begin)}`);
      }),
    );
  }
}

function withStackLock(settings: StackSettings, say: Say, work: () => Promise<void>) {
  return withBuildLock(settings.dir, () => say('another command works on this stack'), work);
}

function seconds(begin: number): string {
  return `${((performance.now() - begin) / 1000).toFixed(1)} s`;
}
