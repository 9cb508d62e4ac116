import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { takenPorts } from '@memplane/testkit/ports';
import { lastLines } from './log-tail.ts';
import type { ServerPlan } from './plan.ts';

const POLL_MS = 50;
const LOG_LINES = 25;

/**
 * A server as a child of this process, to be killed, paused and started again at will. It ends
 * with this process, however that ends: the kernel sees to it (`setpriv --pdeathsig`).
 */
export class ServerProcess implements AsyncDisposable {
  readonly plan: ServerPlan;
  /** From its start until it served, in milliseconds. */
  readyAfterMs = NaN;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();

  private constructor(plan: ServerPlan) {
    this.plan = plan;
  }

  /** @throws Error with the log's last lines when it ends or does not serve in time */
  static async start(plan: ServerPlan): Promise<ServerProcess> {
    const server = new ServerProcess(plan);
    await server.start();
    return server;
  }

  /** Starts it, again after {@link kill} or {@link stop}: same ports, same data. */
  async start(): Promise<void> {
    if (this.running) throw new Error(`${this.plan.name} runs already`);
    const started = performance.now();
    await this.plan.prepare();
    const taken = await takenPorts(this.plan.ports);
    if (taken.length > 0) throw new Error(`${this.plan.name}: port ${taken} is in use`);
    this.#spawn();
    try {
      await this.ready();
    } catch (error) {
      await this.kill();
      throw error;
    }
    this.readyAfterMs = performance.now() - started;
  }

  /** Waits until it serves. @throws Error with the log's last lines when it does not */
  async ready(timeoutMs = this.plan.readyTimeoutMs): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      try {
        await this.plan.check();
        return;
      } catch (error) {
        if (!this.running) throw this.#failure('ended', error);
        if (performance.now() > deadline)
          throw this.#failure(`not ready in ${timeoutMs} ms`, error);
      }
      await sleep(POLL_MS);
    }
  }

  get running(): boolean {
    const child = this.#child;
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  get pid(): number {
    return this.#child?.pid ?? -1;
  }

  /** `kill -9`: a crash. */
  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#exited;
  }

  /** SIGTERM, and SIGKILL when it takes longer than its plan allows. */
  async stop(): Promise<void> {
    this.#child?.kill('SIGTERM');
    const patience = new AbortController();
    const late = sleep(this.plan.stopTimeoutMs, 'late', { signal: patience.signal, ref: false });
    if ((await Promise.race([this.#exited, late.catch(() => '')])) === 'late') await this.kill();
    patience.abort();
  }

  /** Freezes it (SIGSTOP): alive for the kernel, dead for its peers. */
  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  logTail(lines = LOG_LINES): string {
    return lastLines(this.plan.logFile, lines);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #spawn(): void {
    const { command, args, cwd, env, logFile } = this.plan;
    mkdirSync(dirname(logFile), { recursive: true });
    const log = openSync(logFile, 'a');
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', command, ...args], {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    this.#child = child;
    this.#exited = new Promise((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    });
  }

  #failure(what: string, cause: unknown): Error {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return new Error(`${this.plan.name}: ${what} (${reason}); its log ends:\n${this.logTail()}`);
  }
}
