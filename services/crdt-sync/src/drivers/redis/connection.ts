import { setTimeout as sleep } from 'node:timers/promises';
import type { MemplaneError } from '@memplane/contracts';
import type { Logger } from '@memplane/runtime';
import type { KeptType, Ref } from '../../domain/port.ts';
import { type Client, newClient, type Reply, send } from './client.ts';
import { type FunctionName, functionName } from './library.ts';
import { isFunctionMissing, isOfWrongServer, redisError, unavailable } from './redis-error.ts';
import type { Fsync } from './server-facts.ts';
import { type Found, newState, STATE, setUp } from './session-setup.ts';

export type { Reply } from './client.ts';

export interface RedisConnectionOptions {
  /** `redis://[user@]host:port[/db]`; `rediss:` for TLS. */
  readonly url: string;
  readonly password: string | undefined;
  readonly connectTimeoutMs: number;
  /** The longest that one call may take; then the connection is given up. */
  readonly commandTimeoutMs: number;
  readonly reconnect_delay_ms_max: number;
  readonly appendfsync: Fsync;
  readonly logger: Logger;
}

/** One connection, from its checks to its end. What is sent on one is never sent again on another. */
export interface Session extends Found {
  /** Counts up from 1. */
  readonly number: number;
  readonly client: Client;
  /** Names the values that this session knows; see {@link RedisConnection.discard}. */
  state: string;
}

/** Functions that know of the values of before, and those of them that write. */
const GUARDED: ReadonlySet<FunctionName> = new Set(['execute', 'join', 'read', 'discard']);
const WRITES: ReadonlySet<FunctionName> = new Set([
  'execute',
  'join',
  'discard',
  'forget',
  'digested',
  'cut',
]);
const RECONNECT_DELAY_MS_MIN = 20;

/**
 * The way to one Redis. While it is lost, every call fails at once (nothing waits in a queue), and
 * it is sought again, with bounded delays, until `close`.
 */
export class RedisConnection {
  /** Told of each session once it is there, before anything is sent on it. Must not throw. */
  onSession: ((session: Session) => void) | undefined = undefined;
  readonly #options: RedisConnectionOptions;
  #session: Session | undefined;
  #failure: MemplaneError | undefined = unavailable('Redis was not reached yet.');
  #sessions = 0;
  readonly #closing = new AbortController();
  #lost: (() => void) | undefined;
  readonly #loop: Promise<void>;
  readonly #first = Promise.withResolvers<void>();

  private constructor(options: RedisConnectionOptions) {
    this.#options = options;
    this.#loop = this.#keep();
  }

  /** @throws MemplaneError why no connection came about within `startTimeoutMs` */
  static async open(
    options: RedisConnectionOptions,
    startTimeoutMs: number,
  ): Promise<RedisConnection> {
    const connection = new RedisConnection(options);
    const late = new AbortController();
    const timer = sleep(startTimeoutMs, 'late' as const, { signal: late.signal });
    const first = await Promise.race([connection.#first.promise, timer.catch(() => {})]);
    late.abort();
    if (first !== 'late') return connection;
    const failure = connection.failure;
    await connection.close();
    throw failure ?? unavailable('Redis was not reached.');
  }

  get session(): Session | undefined {
    return this.#session;
  }

  /** Why there is no session; undefined while there is one. */
  get failure(): MemplaneError | undefined {
    return this.#failure;
  }

  /** Aborted when no other session will come. */
  get closed(): AbortSignal {
    return this.#closing.signal;
  }

  /** Calls a function of the library. @throws MemplaneError `storage_unavailable`, `storage_full` */
  call(name: FunctionName, args: readonly (string | Buffer)[]): Promise<Reply> {
    const state = GUARDED.has(name) ? [this.#session?.state ?? ''] : [];
    const how = WRITES.has(name) ? 'FCALL' : 'FCALL_RO';
    return this.command([how, functionName(name), '0', ...state, ...args]);
  }

  /**
   * Drops a value. From then on these are other values, for all connections but this one.
   * @throws MemplaneError as {@link call}
   */
  async discard(type: KeptType, { tenant, name }: Ref): Promise<void> {
    const session = this.#session;
    const state = newState();
    await this.call('discard', [state, tenant, type, name]);
    if (session !== undefined) session.state = state;
  }

  /**
   * Sees to it that what was read on this session so far was of the values that it began with.
   * @throws MemplaneError `storage_unavailable` where all were removed since; the session has ended
   */
  async confirm(): Promise<void> {
    const session = this.#session;
    const found = await this.command(['GET', STATE]);
    if (session !== undefined && String(found) === session.state) return;
    const error = unavailable('The values in Redis were removed, or others put in their place.');
    if (session !== undefined) this.#end(session, error);
    throw error;
  }

  /** @throws MemplaneError as {@link call} */
  async command(words: readonly (string | Buffer)[]): Promise<Reply> {
    const session = this.#session;
    if (session === undefined) throw this.#failure ?? unavailable('Redis is not connected.');
    try {
      return await this.#within(send(session.client, words), this.#options.commandTimeoutMs);
    } catch (cause) {
      const error = redisError(cause);
      const isRefusal = cause instanceof Error && /^[A-Z]+ /.test(cause.message);
      if (!isRefusal || isOfWrongServer(cause) || isFunctionMissing(cause)) {
        this.#end(session, error);
      }
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    if (this.#session !== undefined) this.#end(this.#session, unavailable('Closed.'));
    await this.#loop;
  }

  async #keep(): Promise<void> {
    let delayMs = RECONNECT_DELAY_MS_MIN;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        const { lost } = await this.#begin();
        delayMs = RECONNECT_DELAY_MS_MIN;
        this.#first.resolve();
        await lost;
      } catch (cause) {
        const error = redisError(cause);
        if (this.#failure?.message !== error.message) {
          this.#options.logger.warn({ error: error.message }, 'Redis is not usable');
        }
        this.#failure = error;
        await sleep(delayMs, undefined, { signal }).catch(() => {});
        delayMs = Math.min(delayMs * 2, this.#options.reconnect_delay_ms_max);
      }
    }
  }

  /** Connects, checks, and loads the library. `lost` resolves when the session has ended. */
  async #begin(): Promise<{ lost: Promise<void> }> {
    const { connectTimeoutMs, appendfsync, logger } = this.#options;
    const client = newClient(this.#options);
    const lost = Promise.withResolvers<void>();
    let session: Session | undefined;
    client.on('error', (cause: unknown) => {
      if (session !== undefined) this.#end(session, redisError(cause));
    });
    client.on('end', () => {
      if (session !== undefined) this.#end(session, unavailable('Redis closed the connection.'));
    });
    try {
      const found = await this.#within(setUp(client, appendfsync), connectTimeoutMs);
      if (this.#closing.signal.aborted) throw unavailable('Closed.');
      session = { ...found, number: ++this.#sessions, client };
      this.#lost = lost.resolve;
      this.#session = session;
      this.#failure = undefined;
      this.onSession?.(session);
      logger.info({ redis: found.facts, session: session.number }, 'Redis is connected');
      return { lost: lost.promise };
    } catch (cause) {
      client.destroy();
      throw cause;
    }
  }

  #end(session: Session, failure: MemplaneError): void {
    if (this.#session !== session) return;
    this.#session = undefined;
    this.#failure = failure;
    this.#options.logger.warn({ error: failure.message }, 'Redis is lost');
    session.client.destroy();
    this.#lost?.();
  }

  async #within<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const fail = () => reject(unavailable(`Redis did not answer within ${timeoutMs} ms.`));
      timer = setTimeout(fail, timeoutMs);
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
      work.catch(() => {});
    }
  }
}
