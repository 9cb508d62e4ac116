import { globSync, mkdtempSync, rmSync } from 'node:fs';
import { stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createLogger } from '@memplane/runtime';
import { redisPlan, ServerProcess } from '@memplane/stack';
import { RedisConnection, type RedisConnectionOptions } from './connection.ts';
import { STATE } from './session-setup.ts';

/** A real Redis of a test's own. */
export class TestRedis implements AsyncDisposable {
  readonly server: ServerProcess;
  readonly url: string;
  readonly #dir: string;
  readonly #connections: RedisConnection[] = [];

  private constructor(server: ServerProcess, dir: string, port: number) {
    this.server = server;
    this.#dir = dir;
    this.url = `redis://127.0.0.1:${port}`;
  }

  static readonly password = 'a-secret';

  static async start(settings: Readonly<Record<string, string>> = {}): Promise<TestRedis> {
    const dir = mkdtempSync(path.join(tmpdir(), 'memplane-redis-'));
    const plan = await redisPlan({ dir, password: TestRedis.password, settings });
    return new TestRedis(await ServerProcess.start(plan), dir, plan.port);
  }

  async connect(
    options: Partial<RedisConnectionOptions> = {},
    startTimeoutMs = 10_000,
  ): Promise<RedisConnection> {
    const connection = await RedisConnection.open(
      {
        url: this.url,
        password: TestRedis.password,
        connectTimeoutMs: 10_000,
        commandTimeoutMs: 20_000,
        reconnect_delay_ms_max: 200,
        appendfsync: 'everysec',
        logger: createLogger('test', 'silent'),
        ...options,
      },
      startTimeoutMs,
    );
    this.#connections.push(connection);
    return connection;
  }

  /** The AOF's length in bytes. */
  async aofSize(): Promise<number> {
    return (await stat(this.#aof)).size;
  }

  /** Takes bytes off the end of its AOF, while it does not run. */
  async cutAof(bytes: number): Promise<void> {
    await truncate(this.#aof, (await this.aofSize()) - bytes);
  }

  /** Removes all values, and lets those who are connected believe that they are the same. */
  static async empty(connection: RedisConnection): Promise<void> {
    const state = await connection.command(['GET', STATE]);
    await connection.command(['FLUSHALL']);
    await connection.command(['SET', STATE, String(state)]);
  }

  get #aof(): string {
    const folder = path.join(this.#dir, 'data', 'appendonlydir');
    const [file] = globSync('*.incr.aof', { cwd: folder });
    if (file === undefined) throw new Error('there is no AOF');
    return path.join(folder, file);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections) await connection.close();
    await this.server.kill();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
