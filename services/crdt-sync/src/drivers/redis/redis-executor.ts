import { setTimeout as sleep } from 'node:timers/promises';
import { firstHlcOf } from '@memplane/clock';
import { MemplaneError } from '@memplane/contracts';
import type { CommitRange, Incarnation } from '@memplane/crdt';
import { broughtBy, type Command } from '../../domain/command.ts';
import { CommitFailure, type Executor, type ReplicatedExecutor } from '../../domain/executor.ts';
import { KnownVector } from '../../domain/known-vector.ts';
import type { LocalCommit } from '../../domain/local-commit.ts';
import { type IsStable, OpForgetting } from '../../domain/op-forgetting.ts';
import type { CommitVector } from '../../domain/session-token.ts';
import {
  areReads,
  type CallHeader,
  type CallNames,
  executeWords,
  inParts,
  isStored,
  settle,
} from './call-codec.ts';
import type { RedisConnection, Reply, Session } from './connection.ts';
import { Increments } from './increments.ts';
import { highestStamp, joinWords, piecesOf } from './join-codec.ts';
import { unavailable } from './redis-error.ts';
import { stampText } from './redis-records.ts';
import type { RedisStore } from './redis-store.ts';
import { list } from './replies.ts';
import { readCommit } from './told-commit.ts';

export interface RedisExecutorOptions {
  readonly connection: RedisConnection;
  readonly store: RedisStore;
  readonly replicaId: string;
  readonly set_elements_max: number;
  readonly set_bytes_max: number;
  readonly map_bytes_max: number;
  /** Commands of one batch. */
  readonly batch_commands_max: number;
  readonly op_ids_per_counter_max: number;
  readonly contested_ids_per_counter_max: number;
  readonly opid_memory_ms: number;
  /** Elements, and commands without any, of one call: for so long others wait for Redis. */
  readonly call_elements_max: number;
  /** How far ahead of `now` a stamp from elsewhere may be to be followed, in milliseconds. */
  readonly hlc_drift_max_ms: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Random 32 hex digits, a new one at each call. */
  readonly newIncarnation: () => Incarnation;
}

/**
 * One of several writers of a Redis: every decision is made there, by one function call a batch, so
 * that nothing in this process can be stale.
 *
 * Another connection may have reached another server, or the same one with a tail of it lost, or
 * emptied: so each has an incarnation of its own, so that no dot can be given twice, and begins with
 * the vector that is there.
 */
export class RedisExecutor implements Executor, ReplicatedExecutor {
  readonly batch_commands_max: number;
  readonly hotNames = 0;
  /**
   * Told of each commit that this instance makes; `execute` says what it has changed only while
   * somebody wants to know.
   */
  onCommit: ((commit: LocalCommit) => void) | undefined = undefined;
  /** Told of what other instances on this Redis have committed or joined in; see {@link watch}. */
  onFound: ((ranges: readonly CommitRange[]) => void) | undefined = undefined;
  onNewState: (() => void) | undefined = undefined;
  isStable: IsStable | undefined = undefined;
  readonly #forgetting: OpForgetting;
  readonly #options: RedisExecutorOptions;
  readonly #vector = new KnownVector([]);
  #incarnation: Incarnation;
  /** What the vector and the incarnation are of. */
  #session: Session | undefined;

  constructor(options: RedisExecutorOptions) {
    const { connection } = options;
    this.#options = options;
    this.batch_commands_max = options.batch_commands_max;
    this.#forgetting = new OpForgetting(options);
    this.#incarnation = options.newIncarnation();
    this.#begin(connection.session);
    connection.onSession = (session) => {
      const isFirst = this.#session === undefined;
      if (!isFirst) this.#incarnation = options.newIncarnation();
      this.#begin(session);
      if (!isFirst) this.onNewState?.();
    };
  }

  get incarnation(): Incarnation {
    return this.#incarnation;
  }

  get failure(): MemplaneError | undefined {
    return this.#options.connection.failure;
  }

  get known(): CommitVector {
    return this.#vector.all;
  }

  async run(batch: readonly Command[], mustWrite: boolean): Promise<boolean> {
    const [first] = batch;
    if (first?.type === 'discard') return this.#discard(first);
    const commands = batch.filter(isStored);
    if (commands.length === 0 && !mustWrite) return false;
    const isReading = areReads(commands) && !mustWrite;
    const session = this.#expectSession();
    const isJoining = commands[0]?.type === 'join';
    let isWritten = false;
    try {
      if (isJoining) return await this.#join(session, commands, mustWrite);
      const { call_elements_max } = this.#options;
      for (const part of inParts(commands, ({ elements }) => elements.length, call_elements_max)) {
        if (await this.#call(session, part, isReading, mustWrite)) isWritten = true;
      }
    } catch (cause) {
      throw isReading ? cause : new CommitFailure(cause);
    }
    return isWritten;
  }

  /** The current incarnation comes last: a token that is too long keeps the end. */
  async commitVector(): Promise<CommitVector> {
    const vector = new Map(this.known);
    const { incarnation } = this;
    for (const stored of await this.#stored()) {
      const known = vector.get(stored.incarnation) ?? 0;
      vector.set(stored.incarnation, Math.max(known, stored.commits));
    }
    const commits = vector.get(incarnation) ?? 0;
    vector.delete(incarnation);
    return vector.set(incarnation, commits);
  }

  get shown(): CommitVector {
    return this.#vector.shown;
  }

  /** With what other instances on this Redis have committed. */
  async shownVector(): Promise<CommitVector> {
    const vector = new Map(this.shown);
    for (const [incarnation, commits] of await this.commitVector()) {
      if (commits > (vector.get(incarnation) ?? 0)) vector.set(incarnation, commits);
    }
    return vector;
  }

  expect(theirs: CommitVector): void {
    this.#vector.expect(theirs);
  }

  /** It goes to Redis with the next call that writes. */
  advance(ranges: readonly CommitRange[]): void {
    this.#vector.advance(this.#ofOthers(ranges));
  }

  #ofOthers(ranges: readonly CommitRange[]): CommitRange[] {
    return ranges.filter(({ incarnation }) => incarnation !== this.#incarnation);
  }

  onAdvance(listener: (known: CommitVector) => void): () => void {
    return this.#vector.listen(listener);
  }

  async flush(): Promise<void> {
    if (!this.#vector.isDurable) await this.#join(this.#expectSession(), [], false);
  }

  /**
   * Looks, each so many milliseconds until the connection is closed, for what other instances on
   * this Redis have put there, and whether the values of before still are.
   */
  async watch(intervalMs: number): Promise<void> {
    const { closed } = this.#options.connection;
    while (!closed.aborted) {
      await sleep(intervalMs, undefined, { signal: closed, ref: false }).catch(() => {});
      // While Redis is lost its own connection says so.
      await this.refresh().catch(() => {});
    }
  }

  /** Looks once. @throws MemplaneError `storage_unavailable` */
  async refresh(): Promise<void> {
    const session = this.#expectSession();
    const stored = await this.#stored();
    if (this.#session !== session) return;
    // The commits of its own are told by those who made them.
    const others = stored.filter(({ incarnation }) => incarnation !== this.#incarnation);
    const found = others.map(({ incarnation, commits }) => [incarnation, commits] as const);
    const ranges = this.#vector.discover(new Map(found));
    if (ranges.length > 0) this.onFound?.(ranges);
  }

  /** The dots of before must not be given again, so a new incarnation begins. */
  async #discard({ discards, tenant, name }: Command): Promise<boolean> {
    if (discards === undefined) throw new MemplaneError('internal', 'Nothing to discard.');
    const session = this.#expectSession();
    try {
      await this.#options.store.discard(discards, { tenant, name });
    } catch (cause) {
      throw new CommitFailure(cause);
    } finally {
      if (this.#session === session) this.#renew();
    }
    return true;
  }

  #renew(): void {
    if (this.known.get(this.#incarnation) === 0) this.#vector.forget(this.#incarnation);
    this.#incarnation = this.#options.newIncarnation();
    this.#vector.set(this.#incarnation, 0);
  }

  #begin(session: Session | undefined): void {
    this.#session = session;
    this.#vector.replace(session?.known ?? new Map());
    this.#vector.set(this.#incarnation, 0);
  }

  /** @throws MemplaneError where there is none */
  #expectSession(): Session {
    const { session, failure } = this.#options.connection;
    if (session === undefined) throw failure ?? unavailable('Redis is not connected.');
    return session;
  }

  /** The vector as it is in Redis, of the values that this instance knows of. */
  async #stored() {
    const stored = await this.#options.store.incarnations();
    await this.#options.connection.confirm();
    return stored;
  }

  async #call(
    session: Session,
    commands: readonly Command[],
    isReading: boolean,
    mustWrite: boolean,
  ): Promise<boolean> {
    const ask = async (raised: CommitVector) => {
      const header = this.#header(session, raised);
      const { words, names, told: asked } = executeWords(header, commands, mustWrite);
      const name = isReading ? 'read' : 'execute';
      const reply = await this.#options.connection.call(name, words);
      const [written, replies, told, crowded] = list(reply);
      const results = list(replies);
      asked.forEach((one, index) => {
        if (one instanceof Increments) one.settle(results[index], this.#options);
        else settle(one, results[index], this.#options);
      });
      if (told) {
        const commit = readCommit(told, header.incarnation, names);
        const { incarnation, number } = commit;
        for (const command of commands) command.commit = { incarnation, number };
        this.#tell(session, commit);
      }
      if (crowded) await this.#forget(list(crowded), names);
      return written === '1';
    };
    return isReading ? ask(new Map()) : this.#vector.write(ask);
  }

  async #join(
    session: Session,
    commands: readonly Command[],
    mustWrite: boolean,
  ): Promise<boolean> {
    const { call_elements_max, connection, now, hlc_drift_max_ms } = this.#options;
    const pieces = commands.flatMap((command) =>
      piecesOf(command, call_elements_max).map((piece) => ({ command, piece })),
    );
    const observed = highestStamp(commands, Math.trunc(now()) + hlc_drift_max_ms);
    let isWritten = false;
    const parts = inParts(pieces, ({ piece }) => piece.weight, call_elements_max);
    for (const part of parts) {
      // With the last part all is there, unless one of those before was refused.
      const ranges = part === parts.at(-1) ? this.#ofOthers(broughtBy(commands)) : [];
      const [reply, header, names] = await this.#vector.write(async (raised, brought) => {
        const joins = part.map(({ piece }) => piece);
        const header = this.#header(session, raised);
        const { words, names } = joinWords(header, joins, { observed, mustWrite, brought });
        return [await connection.call('join', words), header, names] as const;
      }, ranges);
      const [written, replies, told, crowded] = list(reply);
      const results = list(replies);
      part.forEach(({ command }, index) => {
        settle(command, results[index], this.#options);
      });
      if (told) this.#tell(session, readCommit(told, header.incarnation, names));
      await this.#forget(list(crowded), names);
      isWritten ||= written === '1';
    }
    return isWritten;
  }

  /** What was done is done: where making room fails, it is tried again. */
  async #forget(places: readonly Reply[], names: CallNames): Promise<void> {
    for (const place of places) {
      const ref = names.at(Number(place));
      await this.#forgetting.forget(ref, this.isStable ?? (() => true)).catch(() => {});
    }
  }

  #tell(session: Session, commit: LocalCommit): void {
    // What was answered on a session that has ended may be lost with it.
    if (this.#session !== session) return;
    this.#vector.set(commit.incarnation, commit.number);
    this.onCommit?.(commit);
  }

  /** @throws MemplaneError where the session has ended: its incarnation is not to be used again */
  #header(session: Session, raised: CommitVector): CallHeader {
    const { connection, now } = this.#options;
    if (connection.session !== session) throw unavailable('Redis was lost.');
    return {
      ...this.#options,
      incarnation: this.#incarnation,
      now: stampText(firstHlcOf(Math.trunc(now()))),
      tells: this.onCommit !== undefined,
      raised,
    };
  }
}
