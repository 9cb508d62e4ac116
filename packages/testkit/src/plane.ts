import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, globSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { call } from './http.ts';
import { freePorts } from './ports.ts';

export const SERVICE_NAMES = ['event-ingest', 'materializer', 'crdt-sync', 'vector-index'] as const;
export type PlaneService = (typeof SERVICE_NAMES)[number];

export interface PlanePorts extends Readonly<Record<PlaneService, number>> {
  readonly resp: number;
  readonly gossip: number;
}

export interface PlaneOptions {
  readonly dataDir: string;
  readonly ports?: PlanePorts;
  readonly env?: Readonly<Record<string, string>>;
  readonly readyTimeoutMs?: number;
  /** The launcher of another version; this one's unless given. */
  readonly launcher?: string;
  /** The one core that it may run on (`taskset`, of Linux); default: all. */
  readonly core?: number;
}

export interface PlaneExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const LOG_CHARS_MAX = 200_000;
const repository = fileURLToPath(new URL('../../../', import.meta.url));
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

let entry: string | undefined;

/** The program under test: `MEMPLANE_ENTRY`, else the built command where it is up to date, else its source. */
export function planeEntry(): string {
  entry ??=
    process.env['MEMPLANE_ENTRY'] || builtEntry() || `${packages}standalone/src/memplane.ts`;
  return entry;
}

const packages = `${repository}packages/`;

/** How `make run` starts it: by the launcher beside what was built; its source has none. */
function runCommand(): [command: string, ...args: string[]] {
  const program = planeEntry();
  const launcher = program.endsWith('.js') ? program.slice(0, -'.js'.length) : '';
  return existsSync(launcher) ? [launcher, 'run'] : [process.execPath, program, 'run'];
}

/** The built command, where no source is younger than it. */
function builtEntry(): string | undefined {
  const built = `${repository}dist/memplane.js`;
  if (!existsSync(built)) return undefined;
  const builtAt = statSync(built).mtimeMs;
  const youngest = [packages, `${repository}services/`].flatMap((folder) =>
    globSync('*/src/**/*.ts', { cwd: folder })
      .filter((file) => !file.endsWith('.test.ts') && !file.startsWith('testkit/'))
      .map((file) => statSync(folder + file).mtimeMs),
  );
  return youngest.every((time) => time <= builtAt) ? built : undefined;
}

export async function planePorts(): Promise<PlanePorts> {
  const free = await freePorts(6);
  const [ingest = 0, materializer = 0, crdt = 0, vector = 0, resp = 0, gossip = 0] = free;
  return {
    'event-ingest': ingest,
    materializer,
    'crdt-sync': crdt,
    'vector-index': vector,
    resp,
    gossip,
  };
}

/** One run of a standalone plane as a child process. */
export class Plane implements AsyncDisposable {
  readonly options: PlaneOptions;
  readonly ports: PlanePorts;
  /** How long it took from exec until all four services were ready, in milliseconds. */
  readyAfterMs = NaN;
  readonly #child: ChildProcess;
  readonly #exited: Promise<PlaneExit>;
  #exit: PlaneExit | undefined;
  #log = '';

  private constructor(options: PlaneOptions, ports: PlanePorts) {
    this.options = options;
    this.ports = ports;
    const { core, launcher } = options;
    const pinned = core === undefined ? [] : ['taskset', '--cpu-list', String(core)];
    const run = launcher ? [launcher, 'run'] : runCommand();
    const [command = '', ...args] = [...pinned, ...run];
    this.#child = spawn(command, args, {
      cwd: repository,
      env: { ...cleanEnv(), ...planeEnv(options.dataDir, ports), ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(this.#child);
    const keep = (part: Buffer) => {
      this.#log = (this.#log + part.toString('utf8')).slice(-LOG_CHARS_MAX);
    };
    this.#child.stdout?.on('data', keep);
    this.#child.stderr?.on('data', keep);
    this.#exited = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => {
        running.delete(this.#child);
        this.#exit = { code, signal };
        resolve(this.#exit);
      });
    });
  }

  /** Starts a plane and waits until it is ready. @throws Error with its output when it is not. */
  static async start(options: PlaneOptions): Promise<Plane> {
    const plane = await Plane.launch(options);
    try {
      await plane.ready();
    } catch (error) {
      await plane.kill();
      throw error;
    }
    return plane;
  }

  /** Starts the process without waiting for anything. */
  static async launch(options: PlaneOptions): Promise<Plane> {
    return new Plane(options, options.ports ?? (await planePorts()));
  }

  /** Waits until every service says so on `/readyz`. */
  async ready(services: readonly PlaneService[] = SERVICE_NAMES): Promise<void> {
    const started = performance.now();
    const deadlineMs = this.options.readyTimeoutMs ?? 60_000;
    const waiting = new Set<PlaneService>(services);
    while (waiting.size > 0) {
      if (this.#exit !== undefined) {
        throw new Error(`the plane ended (${JSON.stringify(this.#exit)}):\n${this.logTail()}`);
      }
      if (performance.now() - started > deadlineMs) {
        throw new Error(`not ready in ${deadlineMs} ms: ${[...waiting]}\n${this.logTail()}`);
      }
      for (const service of [...waiting]) if (await this.isReady(service)) waiting.delete(service);
      if (waiting.size > 0) await new Promise((resolve) => setTimeout(resolve, 10));
    }
    this.readyAfterMs = performance.now() - started;
  }

  async isReady(service: PlaneService): Promise<boolean> {
    try {
      const answer = await call('GET', `${this.url(service)}/readyz`, { timeoutMs: 5_000 });
      return answer.status === 200;
    } catch {
      return false;
    }
  }

  url(service: PlaneService): string {
    return `http://127.0.0.1:${this.ports[service]}`;
  }

  get ingest(): string {
    return this.url('event-ingest');
  }
  get materializer(): string {
    return this.url('materializer');
  }
  get crdt(): string {
    return this.url('crdt-sync');
  }
  get vectors(): string {
    return this.url('vector-index');
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** How it ended, or undefined while it runs. */
  get exit(): PlaneExit | undefined {
    return this.#exit;
  }

  /** `kill -9`: no chance to tidy up. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }

  /** `SIGTERM`, as a supervisor sends it. */
  async stop(): Promise<PlaneExit> {
    this.#child.kill('SIGTERM');
    return this.#exited;
  }

  /** Waits until it ends by itself. */
  async ended(): Promise<PlaneExit> {
    return this.#exited;
  }

  /** A new run on the same folder and ports. */
  async again(env?: Readonly<Record<string, string>>): Promise<Plane> {
    const options = { ...this.options, ports: this.ports, ...(env ? { env } : {}) };
    return Plane.start(options);
  }

  /** The last lines that it wrote. */
  logTail(chars = 4_000): string {
    return this.#log.slice(-chars);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#exit === undefined) await this.kill();
  }
}

/** The settings that say where a plane keeps its data and listens. */
export function planeEnv(dataDir: string, ports: PlanePorts): Record<string, string> {
  return {
    MEMPLANE_DATA_DIR: dataDir,
    MEMPLANE_EVENT_INGEST_PORT: String(ports['event-ingest']),
    MEMPLANE_MATERIALIZER_PORT: String(ports.materializer),
    MEMPLANE_CRDT_SYNC_PORT: String(ports['crdt-sync']),
    MEMPLANE_VECTOR_INDEX_PORT: String(ports['vector-index']),
    MEMPLANE_RESP_PORT: String(ports.resp),
    MEMPLANE_GOSSIP_PORT: String(ports.gossip),
  };
}

/** The caller's environment without settings that would change the plane under test. */
function cleanEnv(): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    const ours = name.startsWith('MEMPLANE_') || name.startsWith('OTEL_');
    if (value !== undefined && !ours && name !== 'NODE_TEST_CONTEXT') env[name] = value;
  }
  return env;
}
