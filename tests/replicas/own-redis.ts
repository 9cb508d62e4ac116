import { globSync, mkdirSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { redisPlan, ServerProcess } from '@memplane/stack';
import type { Seeded } from '@memplane/testkit';

const PORT = 6379;
const PASSWORD = 'a-redis';
const SAMPLE_MS = 25;
/** What `everysec` may lose. */
const TAIL_MS = 1_000;
const SETTINGS = {
  appendfsync: 'everysec',
  // One file, whose end is what was written last.
  'auto-aof-rewrite-percentage': '0',
};

export interface RedisPlace {
  readonly dir: string;
  /** In front of its command. */
  readonly enter: readonly string[];
  readonly address: string;
}

/** The Redis of one replica, in that replica's network namespace. It ends with this process. */
export class OwnRedis {
  readonly #server: ServerProcess;
  readonly #folder: string;
  /** How long its AOF was and when, in ms of the monotonic clock; of the last seconds. */
  #sizes: { readonly atMs: number; readonly bytes: number }[] = [];
  readonly #sampling: NodeJS.Timeout;
  #isDown = false;
  #downUntilMs = 0;

  private constructor(server: ServerProcess, dir: string) {
    this.#server = server;
    this.#folder = join(dir, 'data', 'appendonlydir');
    this.#sampling = setInterval(() => this.#sample(), SAMPLE_MS);
    this.#sampling.unref();
  }

  static async start({ dir, enter, address }: RedisPlace): Promise<OwnRedis> {
    mkdirSync(dir, { recursive: true });
    const options = { dir, address, port: PORT, password: PASSWORD, settings: SETTINGS };
    const plan = await redisPlan(options);
    const [command = '', ...args] = [...enter, plan.command, ...plan.args];
    // Its port is of another namespace than those that could be taken here.
    const server = await ServerProcess.start({ ...plan, command, args, ports: [] });
    return new OwnRedis(server, dir);
  }

  static env(address: string): Record<string, string> {
    return {
      MEMPLANE_REDIS_URL: `redis://${address}:${PORT}`,
      MEMPLANE_REDIS_PASSWORD: PASSWORD,
      MEMPLANE_REDIS_RECONNECT_DELAY_MS_MAX: '100',
      // On a busy machine nothing answers for a while, and nothing of it is a fault.
      MEMPLANE_REDIS_COMMAND_TIMEOUT_MS: '15000',
    };
  }

  /** Whether it was away at any time since then. */
  wasDownSince(atMs: number): boolean {
    return this.#isDown || this.#downUntilMs > atMs;
  }

  /** `kill -9`. */
  async kill(): Promise<void> {
    // Before: its replica may say so sooner than we are told that the process has ended.
    this.#isDown = true;
    await this.#server.kill();
  }

  async start(): Promise<void> {
    await this.#server.start();
    this.#isDown = false;
    this.#downUntilMs = performance.now();
  }

  /**
   * Cuts its AOF somewhere in what was written in the last second; what is left of a record there
   * Redis cuts off itself. It does not run.
   * @returns from when on it has lost what it had acknowledged, and how many bytes of that
   */
  cutTail(random: Seeded): { readonly sinceMs: number; readonly bytes: number } {
    const file = this.#aof();
    const { size } = statSync(file);
    const latestMs = performance.now() - TAIL_MS;
    const before = this.#sizes.findLast(({ atMs }) => atMs <= latestMs) ?? this.#sizes[0];
    const from = Math.min(size, before?.bytes ?? size);
    const bytes = random.int(0, size - from);
    truncateSync(file, size - bytes);
    return { sinceMs: before?.atMs ?? performance.now(), bytes };
  }

  async end(): Promise<void> {
    clearInterval(this.#sampling);
    await this.#server.kill();
  }

  #sample(): void {
    if (this.#isDown) return;
    // Asked first: all that was answered before is in the file then.
    const atMs = performance.now();
    this.#sizes = [...this.#sizes.slice(-400), { atMs, bytes: statSync(this.#aof()).size }];
  }

  #aof(): string {
    const [file] = globSync('*.incr.aof', { cwd: this.#folder });
    if (file === undefined) throw new Error(`there is no AOF in ${this.#folder}`);
    return join(this.#folder, file);
  }
}
