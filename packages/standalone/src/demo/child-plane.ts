import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { ServiceName } from '@memplane/contracts';
import { PORT_VARIABLES } from '../plane/settings.ts';

const READY_TIMEOUT_MS = 30_000;
const POLL_MS = 20;

/** A plane of its own process, so that it can be killed like one. */
export class ChildPlane {
  readonly urls: Readonly<Record<ServiceName, string>>;
  readonly #env: NodeJS.ProcessEnv;
  #child: ChildProcess | undefined;
  #errors = '';

  private constructor(urls: Readonly<Record<ServiceName, string>>, env: NodeJS.ProcessEnv) {
    this.urls = urls;
    this.#env = env;
  }

  static async create(dataDir: string): Promise<ChildPlane> {
    const [ingest = 0, views = 0, crdts = 0, vectors = 0, resp = 0] = await freePorts(5);
    const ports: Record<ServiceName, number> = {
      'event-ingest': ingest,
      materializer: views,
      'crdt-sync': crdts,
      'vector-index': vectors,
    };
    const names = Object.keys(ports) as ServiceName[];
    const env: NodeJS.ProcessEnv = { ...process.env, MEMPLANE_DATA_DIR: dataDir };
    for (const name of names) env[PORT_VARIABLES[name]] = String(ports[name]);
    env['MEMPLANE_RESP_PORT'] = String(resp);
    env['MEMPLANE_HOST'] = '127.0.0.1';
    const urls = Object.fromEntries(
      names.map((name) => [name, `http://127.0.0.1:${ports[name]}`]),
    ) as Record<ServiceName, string>;
    return new ChildPlane(urls, env);
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** @returns milliseconds until all services were ready */
  async start(): Promise<number> {
    const startedAt = performance.now();
    const command = process.argv[1];
    if (command === undefined) throw new Error('the command does not know its own file');
    const child = spawn(process.execPath, [command, 'run'], {
      env: this.#env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child = child;
    child.stderr?.on('data', (part: Buffer) => {
      this.#errors = (this.#errors + part.toString()).slice(-4_000);
    });
    for (const url of Object.values(this.urls)) {
      while (!(await isReady(url))) {
        if (child.exitCode !== null || performance.now() - startedAt > READY_TIMEOUT_MS) {
          throw new Error(`the plane did not start:\n${this.#errors}`);
        }
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    }
    return performance.now() - startedAt;
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }
}

async function isReady(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2_000) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

/** Ports that were free a moment ago; all are held until the last one is found. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (typeof address === 'object' && address !== null) ports.push(address.port);
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
