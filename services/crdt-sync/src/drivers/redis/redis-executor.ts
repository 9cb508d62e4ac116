import { firstHlcOf } from '@memplane/clock';
import type { MemplaneError } from '@memplane/contracts';
import type { Incarnation } from '@memplane/crdt';
import type { Command } from '../../domain/command.ts';
import { CommitFailure, type Executor } from '../../domain/executor.ts';
import type { CommitVector } from '../../domain/session-token.ts';
import { areReads, type CallHeader, executeWords, isStored, settle } from './call-codec.ts';
import type { RedisConnection } from './connection.ts';
import { unavailable } from './redis-error.ts';
import { damaged, stampText } from './redis-records.ts';
import type { RedisStore } from './redis-store.ts';

export interface RedisExecutorOptions {
  readonly connection: RedisConnection;
  readonly store: RedisStore;
  readonly replicaId: string;
  readonly set_elements_max: number;
  readonly set_bytes_max: number;
  /** Commands of one batch. */
  readonly batch_commands_max: number;
  /** Elements, and commands without any, of one call: for so long others wait for Redis. */
  readonly call_elements_max: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Random 32 hex digits, a new one at each call. */
  readonly newIncarnation: () => Incarnation;
}

/**
 * One of several writers of a Redis: every decision is made there, by one function call a batch, so
 * that nothing in this process can be stale.
 */
export class RedisExecutor implements Executor {
  readonly batch_commands_max: number;
  readonly hotNames = 0;
  readonly #options: RedisExecutorOptions;
  #incarnation: Incarnation;
  /** The session that the incarnation belongs to. */
  #session = 0;

  constructor(options: RedisExecutorOptions) {
    this.#options = options;
    this.batch_commands_max = options.batch_commands_max;
    this.#incarnation = options.newIncarnation();
  }

  get incarnation(): Incarnation {
    return this.#incarnation;
  }

  get failure(): MemplaneError | undefined {
    return this.#options.connection.failure;
  }

  async run(batch: readonly Command[], mustWrite: boolean): Promise<boolean> {
    const commands = batch.filter(isStored);
    if (commands.length === 0 && !mustWrite) return false;
    const isReading = areReads(commands) && !mustWrite;
    this.#follow();
    let isWritten = false;
    try {
      for (const part of this.#parts(commands)) {
        if (await this.#call(part, isReading, mustWrite)) isWritten = true;
      }
    } catch (cause) {
      throw isReading ? cause : new CommitFailure(cause);
    }
    return isWritten;
  }

  async commitVector(): Promise<CommitVector> {
    const known = await this.#options.store.incarnations();
    return new Map(known.map(({ incarnation, commits }) => [incarnation, commits]));
  }

  shownVector(): Promise<CommitVector> {
    return this.commitVector();
  }

  /** All replicas that write here are one. */
  onAdvance(): () => void {
    return () => {};
  }

  async flush(): Promise<void> {}

  /**
   * Another connection may have reached another server, or the same one with a tail of it lost: so
   * each has an incarnation of its own, and no dot can be given twice.
   */
  #follow(): void {
    const { connection, newIncarnation } = this.#options;
    const { session } = connection;
    if (session === undefined) throw connection.failure ?? unavailable('Redis is not connected.');
    if (session.number === this.#session) return;
    if (this.#session > 0) this.#incarnation = newIncarnation();
    this.#session = session.number;
  }

  async #call(
    commands: readonly Command[],
    isReading: boolean,
    mustWrite: boolean,
  ): Promise<boolean> {
    const { connection, store } = this.#options;
    const header: CallHeader = {
      ...this.#options,
      incarnation: this.#incarnation,
      now: stampText(firstHlcOf(Math.trunc(this.#options.now()))),
      opIdsMax: store.opIdsMax,
    };
    if (connection.session?.number !== this.#session) throw unavailable('Redis was lost.');
    const words = executeWords(header, commands, mustWrite);
    const reply = await connection.call(isReading ? 'read' : 'execute', words);
    if (!Array.isArray(reply)) throw damaged('an answer');
    const [written, replies] = reply;
    commands.forEach((command, index) => {
      settle(command, replies[index], header);
    });
    return written === '1';
  }

  /** As few calls as keep each below its bound; one at least. */
  #parts(commands: readonly Command[]): Command[][] {
    const parts: Command[][] = [[]];
    let elements = 0;
    for (const command of commands) {
      const weight = Math.max(1, command.elements.length);
      if (elements > 0 && elements + weight > this.#options.call_elements_max) {
        parts.push([]);
        elements = 0;
      }
      parts.at(-1)?.push(command);
      elements += weight;
    }
    return parts;
  }
}
