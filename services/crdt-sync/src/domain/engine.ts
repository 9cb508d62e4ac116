import { MemplaneError } from '@memplane/contracts';
import type { Incarnation } from '@memplane/crdt';
import { type Command, isRead } from './command.ts';
import { CommitFailure, type Executor } from './executor.ts';
import { checkOpId, type OpIdRule } from './op-ids.ts';
import type { CommitVector } from './session-token.ts';

export interface EngineOptions {
  readonly executor: Executor;
  readonly toError: (cause: unknown) => MemplaneError;
  readonly opIds: OpIdRule;
  /** Commands that may wait; more are refused `overloaded`. */
  readonly queued_commands_max: number;
  /** Scans that may run at once; more wait. */
  readonly scans_max: number;
}

/** Of one batch, but for a command that has more by itself. */
const BATCH_ELEMENTS_MAX = 8_192;

export interface EngineStats {
  commits: number;
  committedCommands: number;
  failedCommits: number;
}

/**
 * The queue before an {@link Executor}. Commands are done in the order in which they came, many a
 * batch: what arrives while a batch is made durable waits and shares the next one's sync. Nothing
 * is answered before the batch is durable, reads of its values included.
 */
export class Engine {
  readonly stats: EngineStats = { commits: 0, committedCommands: 0, failedCommits: 0 };
  readonly #options: EngineOptions;
  #queue: Command[] = [];
  #running = false;
  #storageFailure: MemplaneError | undefined;
  #scans = 0;
  #closed = false;
  #idle: (() => void)[] = [];
  #scanEnded: (() => void)[] = [];

  constructor(options: EngineOptions) {
    this.#options = options;
  }

  get incarnation(): Incarnation {
    return this.#options.executor.incarnation;
  }

  /** All that is durable here. */
  commitVector(): Promise<CommitVector> {
    return this.#options.executor.commitVector();
  }

  /** All that a read may have shown. */
  shownVector(): Promise<CommitVector> {
    return this.#options.executor.shownVector();
  }

  /** Tells when what is known of other replicas has grown. @returns how to end it */
  onAdvance(listener: (known: CommitVector) => void): () => void {
    return this.#options.executor.onAdvance(listener);
  }

  /** Makes durable what may lag behind; to be called once all is drained. @throws MemplaneError */
  flush(): Promise<void> {
    return this.#options.executor.flush();
  }

  /** Why the storage can't be written; undefined when, as far as is known, it can. */
  get storageFailure(): MemplaneError | undefined {
    return this.#options.executor.failure ?? this.#storageFailure;
  }

  get queued(): number {
    return this.#queue.length;
  }

  get hotNames(): number {
    return this.#options.executor.hotNames;
  }

  /** @throws MemplaneError `overloaded`, `shutting_down`, `bad_opid`; then `settled` is never called. */
  submit(command: Command): void {
    if (this.#closed) throw new MemplaneError('shutting_down', 'The service is ending.');
    if (this.#queue.length >= this.#options.queued_commands_max) {
      throw new MemplaneError('overloaded', 'Too many commands wait for the disk.', {
        retryAfterMs: 100,
        extra: { limit: 'queued_commands_max', max: this.#options.queued_commands_max },
      });
    }
    if (command.opId !== undefined) checkOpId(command.opId, this.#options.opIds);
    this.#queue.push(command);
    if (this.#running) return;
    this.#running = true;
    // After this turn's other arrivals, so that they share the sync from the first one on.
    setImmediate(() => void this.#run());
  }

  /** Takes no more commands, and waits until those taken are settled. */
  async drain(): Promise<void> {
    this.#closed = true;
    if (this.#running) await new Promise<void>((resolve) => this.#idle.push(resolve));
    while (this.#scans > 0) await new Promise<void>((resolve) => this.#scanEnded.push(resolve));
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#take();
      await this.#runBatch(batch);
    }
    this.#running = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /**
   * A batch ends with a scan, since what comes behind a scan must not show in it. Joins have batches
   * of their own, so that a commit is either of this replica's making or of others'; what discards
   * stands alone. One of many elements ends early, so that its commit can be sent to the others as
   * it is.
   */
  #take(): Command[] {
    const queue = this.#queue;
    const max = Math.min(queue.length, this.#options.executor.batch_commands_max);
    const areJoins = queue[0]?.type === 'join';
    let end = queue[0]?.type === 'discard' ? 1 : 0;
    let elements = 0;
    while (end < max && elements < BATCH_ELEMENTS_MAX && queue[0]?.type !== 'discard') {
      const command = queue[end];
      if (command === undefined || (command.type === 'join') !== areJoins) break;
      if (command.type === 'discard') break;
      end++;
      elements += command.elements.length;
      if (command.type === 'scan') break;
    }
    if (end === queue.length) {
      this.#queue = [];
      return queue;
    }
    return queue.splice(0, end);
  }

  async #runBatch(batch: readonly Command[]): Promise<void> {
    const { executor, toError } = this.#options;
    try {
      const isWritten = await executor.run(batch, this.#isProbed(batch));
      if (isWritten) {
        this.#storageFailure = undefined;
        this.stats.commits++;
        this.stats.committedCommands += batch.length;
      }
    } catch (cause) {
      if (cause instanceof CommitFailure) await this.#recover(batch, cause.cause);
      else this.#settleAll(batch, toError(cause));
      return;
    }
    this.#settleAll(batch, undefined);
  }

  #isProbed(batch: readonly Command[]): boolean {
    return this.#storageFailure !== undefined && batch.some(({ type }) => type === 'probe');
  }

  /** A commit failed, and may be there or not: mutations fail, reads are done on what is stored. */
  async #recover(batch: readonly Command[], cause: unknown): Promise<void> {
    this.stats.failedCommits++;
    const error = this.#options.toError(cause);
    this.#storageFailure = error;
    const reads = batch.filter(isRead);
    this.#settleAll(
      batch.filter((command) => !isRead(command)),
      error,
    );
    for (const read of reads) {
      read.error = undefined;
      read.slot = undefined;
    }
    if (reads.length > 0) await this.#runBatch(reads);
  }

  #settleAll(batch: readonly Command[], error: MemplaneError | undefined): void {
    for (const command of batch) {
      command.slot = undefined;
      if (error !== undefined) command.error = error;
      if (command.type === 'scan' && command.error === undefined) void this.#scan(command);
      else command.settled(command);
    }
  }

  /** Runs a scan beside the batches that follow. */
  async #scan(command: Command): Promise<void> {
    if (this.#scans >= this.#options.scans_max) {
      command.error = new MemplaneError('overloaded', 'Too many scans are under way.', {
        retryAfterMs: 100,
        extra: { limit: 'scans_max', max: this.#options.scans_max },
      });
      command.settled(command);
      return;
    }
    this.#scans++;
    try {
      command.outcome.value = await command.scan?.();
    } catch (cause) {
      command.error = this.#options.toError(cause);
    } finally {
      this.#scans--;
      for (const resolve of this.#scanEnded.splice(0)) resolve();
    }
    command.settled(command);
  }
}
