import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { freePorts } from '@memplane/testkit/ports';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
const READY_TIMEOUT_MS = 30_000;

export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** The service as a process of its own, as in the distributed plane. Ends with this process. */
export class TestInstance implements AsyncDisposable {
  readonly port: number;
  readonly respPort: number;
  readonly child: ChildProcess;
  /** That of callers, where it asks for one. */
  readonly #headers: Readonly<Record<string, string>>;
  /** All that it has printed. */
  output = '';

  private constructor(
    [port, respPort]: readonly [number, number],
    env: Readonly<Record<string, string>>,
    program: string,
  ) {
    const { MEMPLANE_TOKEN: token } = env;
    this.#headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    this.port = port;
    this.respPort = respPort;
    this.child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', process.execPath, program], {
      env: {
        ...process.env,
        MEMPLANE_CRDT_SYNC_PORT: String(port),
        MEMPLANE_RESP_PORT: String(respPort),
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.on('data', (chunk) => {
        this.output += String(chunk);
      });
    }
  }

  /**
   * @param program the sources by default, or a bundle of them
   * @throws Error with what it printed, when it ends or is not ready in time
   */
  static async start(
    env: Readonly<Record<string, string>>,
    ports?: readonly [number, number],
    program = MAIN,
  ): Promise<TestInstance> {
    const [port = 0, respPort = 0] = ports ?? (await freePorts(2));
    const instance = new TestInstance([port, respPort], env, program);
    await instance.ready();
    return instance;
  }

  async ready(): Promise<void> {
    const deadline = performance.now() + READY_TIMEOUT_MS;
    for (;;) {
      const state = await this.readyz().catch(() => undefined);
      if (state?.status === 200) return;
      if (this.child.exitCode !== null || performance.now() > deadline) {
        throw new Error(`crdt-sync is not ready: ${JSON.stringify(state)}\n${this.output}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  }

  readyz(): Promise<Answer> {
    return this.ask('GET', '/readyz');
  }

  async ask(method: string, path: string, body?: unknown, headers = {}): Promise<Answer> {
    const response = await fetch(`http://127.0.0.1:${this.port}${path}`, {
      method,
      headers: { 'content-type': 'application/json', ...this.#headers, ...headers },
      signal: AbortSignal.timeout(20_000),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? {} : JSON.parse(text) };
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.kill(signal);
    await exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
