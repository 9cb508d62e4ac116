import type { Worker } from 'node:worker_threads';
import type { ServiceName } from '@memplane/contracts';
import type { LogAdmin, SharedLogState } from '@memplane/event-log';
import type { Service } from '@memplane/runtime';
import { threadOf } from './threads.ts';
import {
  type Failure,
  type FromWorker,
  type ToWorker,
  toFailure,
  type WorkerSetup,
} from './worker-protocol.ts';

export interface WorkerServiceOptions {
  readonly name: ServiceName;
  readonly setup: WorkerSetup;
  readonly startTimeoutMs: number;
  /** Called once if the thread ends without being asked to. */
  readonly onCrash: (name: ServiceName, why: string) => void;
}

/** A service in a thread of its own, as the main thread sees it. The thread starts loading at once. */
export class WorkerService implements Service {
  readonly name: ServiceName;
  readonly #worker: Worker;
  readonly #options: WorkerServiceOptions;
  readonly #waiting = new Map<FromWorker['kind'], PromiseWithResolvers<void>>();
  #ended = false;
  #expectEnd = false;
  #log: SharedLogState | undefined;
  #admin: LogAdmin | undefined;

  constructor(options: WorkerServiceOptions) {
    this.name = options.name;
    this.#options = options;
    this.#worker = threadOf(options.name);
    this.#worker.on('message', (message: FromWorker) => this.#receive(message));
    this.#worker.once('error', (error) => this.#end(error.stack ?? String(error)));
    this.#worker.once('exit', (code) => this.#end(`its thread ended with code ${code}`));
  }

  /** Where the log is, before `start`. */
  attach(log: SharedLogState, admin: LogAdmin): void {
    this.#log = log;
    this.#admin = admin;
  }

  async start(): Promise<void> {
    if (this.#log === undefined) throw new Error(`${this.name} was started without a log`);
    const { setup, startTimeoutMs } = this.#options;
    await this.#ask({ kind: 'start', setup, log: this.#log }, 'started', startTimeoutMs);
  }

  async drain(): Promise<void> {
    await this.#ask({ kind: 'drain' }, 'drained');
  }

  async stop(): Promise<void> {
    if (this.#ended) return;
    this.#expectEnd = true;
    await this.#ask({ kind: 'stop' }, 'stopped');
    await this.#worker.terminate();
  }

  /** Without any goodbye. */
  async terminate(): Promise<void> {
    this.#expectEnd = true;
    await this.#worker.terminate();
  }

  async #ask(message: ToWorker, reply: FromWorker['kind'], timeoutMs?: number): Promise<void> {
    if (this.#ended) throw new Error(`${this.name}: its thread has ended`);
    const answer = Promise.withResolvers<void>();
    this.#waiting.set(reply, answer);
    this.#post(message);
    const timer =
      timeoutMs === undefined
        ? undefined
        : setTimeout(() => {
            answer.reject(new Error(`${this.name} was not ${reply} within ${timeoutMs} ms`));
          }, timeoutMs);
    try {
      await answer.promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(reply);
    }
  }

  #receive(message: FromWorker): void {
    if (message.kind === 'deleteRecordsBefore') {
      void this.#deleteRecordsBefore(message);
    } else if (message.kind === 'failed') {
      this.#failAll(toError(message.failure));
    } else {
      this.#waiting.get(message.kind)?.resolve();
    }
  }

  async #deleteRecordsBefore(message: FromWorker & { kind: 'deleteRecordsBefore' }): Promise<void> {
    const { id, partition, offset } = message;
    try {
      await this.#admin?.deleteRecordsBefore(partition, offset);
      this.#post({ kind: 'answer', id });
    } catch (error) {
      this.#post({ kind: 'answer', id, failure: toFailure(error) });
    }
  }

  #post(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #end(why: string): void {
    if (this.#ended) return;
    this.#ended = true;
    const asked = this.#waiting.size > 0;
    this.#failAll(new Error(`${this.name}: ${why}`));
    if (!this.#expectEnd && !asked) this.#options.onCrash(this.name, why);
  }

  #failAll(error: Error): void {
    for (const answer of this.#waiting.values()) answer.reject(error);
  }
}

function toError(failure: Failure): Error {
  const error = new Error(failure.message);
  if (failure.stack !== undefined) error.stack = failure.stack;
  return Object.assign(error, failure.code === undefined ? {} : { code: failure.code });
}
