import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServiceName } from '@memplane/contracts';
import {
  isAlive,
  lastLines,
  type RunningServer,
  readRecord,
  type StackPlans,
  type StackSettings,
  stackPlans,
  stackSettings,
  stackUp,
} from '@memplane/stack';
import { call, chunks, eventually, sendAlways } from '@memplane/testkit';

export interface InboxEntry {
  readonly event: unknown;
  /** The entity, as a publisher has to name it. */
  readonly partitionKey: string;
}

const BULK_ENTRIES = 200;
const GONE_TIMEOUT_MS = 20_000;
const RESTORES_MAX = 3;

/** Processes that nobody has killed are gone. */
export class EndedByThemselves extends Error {
  override readonly name = 'EndedByThemselves';
}

/**
 * The stack that all tests here share (`run.ts` starts it), seen from outside: through the sidecar of
 * the agent. Its processes can be killed, paused and started again.
 */
export class StackPlane {
  #settings: StackSettings;
  #plans: StackPlans;
  /** Of the agent's sidecar. */
  readonly endpoint: string;
  readonly apiToken: string;
  /** Base addresses of the services, through that sidecar. */
  readonly ingest: string;
  readonly materializer: string;
  readonly crdt: string;
  readonly vectors: string;

  private constructor(settings: StackSettings, plans: StackPlans) {
    this.#settings = settings;
    this.#plans = plans;
    this.endpoint = plans.exports['DAPR_HTTP_ENDPOINT'] ?? '';
    this.apiToken = plans.exports['DAPR_API_TOKEN'] ?? '';
    sendAlways(this.endpoint, { 'dapr-api-token': this.apiToken });
    this.ingest = this.url('event-ingest');
    this.materializer = this.url('materializer');
    this.crdt = this.url('crdt-sync');
    this.vectors = this.url('vector-index');
  }

  /** @throws Error when the stack is not up */
  static async connect(settings = stackSettings()): Promise<StackPlane> {
    if (readRecord(settings.dir).length === 0) {
      throw new Error('the stack is not up: these tests are run by `make test-stack`');
    }
    return new StackPlane(settings, await stackPlans(settings));
  }

  get settings(): StackSettings {
    return this.#settings;
  }

  /** What an operator's command needs to know of it. */
  get operatorEnv(): Readonly<Record<string, string>> {
    return this.#plans.operatorExports;
  }

  get plans(): StackPlans {
    return this.#plans;
  }

  url(service: ServiceName): string {
    return `${this.endpoint}/v1.0/invoke/${service}/method`;
  }

  get servers(): readonly RunningServer[] {
    return readRecord(this.settings.dir);
  }

  server(name: string): RunningServer {
    const found = this.servers.find((server) => server.name === name);
    if (found === undefined) throw new Error(`the stack has no ${name}`);
    return found;
  }

  /** `kill -9`; resolves when the processes are gone. */
  async kill(...names: readonly string[]): Promise<void> {
    await this.#signal('SIGKILL', names);
  }

  async #signal(signal: NodeJS.Signals, names: readonly string[]): Promise<void> {
    const servers = names.map((name) => this.server(name));
    for (const server of servers) if (isAlive(server)) process.kill(server.pid, signal);
    await eventually(`${names} gone`, GONE_TIMEOUT_MS, async () =>
      servers.some(isAlive) ? undefined : true,
    );
  }

  /** Starts instances anew, each in a network namespace of its own; those that were so join again. */
  async place(apart: readonly string[]): Promise<void> {
    const were = this.#settings.apart ?? [];
    const moving = [...were, ...apart].filter(
      (name) => !(were.includes(name) && apart.includes(name)),
    );
    await this.#signal('SIGTERM', moving);
    await this.kill(...moving.map((name) => `${name}-dapr`));
    this.#settings = { ...this.#settings, apart };
    this.#plans = await stackPlans(this.#settings);
    await this.restore();
  }

  /** Kills every process, removes all that any of them keeps, and starts the stores alone, empty. */
  async loseAll(): Promise<void> {
    await this.kill(...this.servers.map(({ name }) => name));
    const { dir } = this.settings;
    // What is left: secrets, certificates, the record of what runs.
    const kept = new Set(['sentry', 'sidecars', 'otelcol']);
    for (const { name } of await readdir(dir, { withFileTypes: true })) {
      const isData = (await stat(join(dir, name))).isDirectory() && !kept.has(name);
      if (isData) await rm(join(dir, name), { recursive: true });
    }
    await stackUp(this.settings, () => {}, 'stores');
  }

  pause(name: string): void {
    process.kill(this.server(name).pid, 'SIGSTOP');
  }

  resume(name: string): void {
    process.kill(this.server(name).pid, 'SIGCONT');
  }

  /**
   * Starts what is gone, and waits until all of it serves. What ends by itself meanwhile is told, and
   * started too, as whoever runs such processes would.
   */
  async restore(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const lines: string[] = [];
      try {
        await stackUp(this.settings, (line) => lines.push(line));
      } catch (error) {
        throw new Error(`not restored:\n${lines.join('\n')}`, { cause: error });
      }
      try {
        await this.ready();
        return;
      } catch (error) {
        if (!(error instanceof EndedByThemselves) || attempt === RESTORES_MAX) throw error;
        console.log(`# ${error.message.replaceAll('\n', '\n# ')}`);
      }
    }
  }

  /** Waits until every part of the stack says that it serves. @throws EndedByThemselves */
  async ready(timeoutMs = 60_000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    for (const plan of this.plans.stages.flat()) {
      for (;;) {
        try {
          await plan.check();
          break;
        } catch (error) {
          this.#checkAlive();
          if (performance.now() > deadline) {
            const tails = this.#tailsOf([plan.name, `${plan.name}-dapr`]);
            throw new Error(`${plan.name} is not ready.\n${tails}`, { cause: error });
          }
        }
        await sleep(50);
      }
    }
  }

  #checkAlive(): void {
    const gone = this.servers.filter((server) => !isAlive(server)).map(({ name }) => name);
    if (gone.length > 0) throw new EndedByThemselves(`Ended: ${gone}.\n${this.#tailsOf(gone)}`);
  }

  #tailsOf(names: readonly string[]): string {
    return this.plans.stages
      .flat()
      .filter(({ name }) => names.includes(name))
      .map(({ name, logFile }) => `the log of ${name} ends:\n${lastLines(logFile, 20)}`)
      .join('\n');
  }

  /** Publishes to `agent-inbox` in bulk, as any application may. @throws Error when refused */
  async publish(entries: readonly InboxEntry[]): Promise<void> {
    const url = `${this.endpoint}/v1.0-alpha1/publish/bulk/pubsub/agent-inbox`;
    for (const part of chunks(entries, BULK_ENTRIES)) {
      const body = part.map(({ event, partitionKey }, i) => ({
        entryId: String(i),
        event,
        contentType: 'application/json',
        metadata: { partitionKey },
      }));
      const answer = await call('POST', url, { body });
      if (answer.status !== 204) throw new Error(`publish: ${answer.status} ${answer.text}`);
    }
  }
}
