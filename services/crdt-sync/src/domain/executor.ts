import type { MemplaneError } from '@memplane/contracts';
import type { CommitRange, Incarnation } from '@memplane/crdt';
import type { Command } from './command.ts';
import type { LocalCommit } from './local-commit.ts';
import type { IsStable } from './op-forgetting.ts';
import type { CommitVector } from './session-token.ts';

/**
 * Does batches of commands to a replica's values. Two ways: with this process as the only writer
 * of a store (`local-executor.ts`), or by a server that several processes write through
 * (`drivers/redis`). Either way a batch's commands take effect in order and all at once.
 */
export interface Executor {
  /** Commands of one batch at most. */
  readonly batch_commands_max: number;
  /** Whose dots the next mutation has. */
  readonly incarnation: Incarnation;
  /** Names kept in memory. */
  readonly hotNames: number;
  /** Why nothing can be done at the moment, where that is known without trying. */
  readonly failure: MemplaneError | undefined;
  /**
   * Does a batch, and writes each command's outcome or error. Durable when it resolves.
   * @param mustWrite a batch that changes nothing writes all the same, to find out whether it can
   * @returns whether something was written
   * @throws CommitFailure when the batch's mutations may be there or not; what else is thrown means
   * that nothing was done.
   */
  run(batch: readonly Command[], mustWrite: boolean): Promise<boolean>;
  /** All that is durable here; what it reads in memory it reads before it first waits. */
  commitVector(): Promise<CommitVector>;
  /** All that a read may have shown: what is durable here, and what has come in part. */
  shownVector(): Promise<CommitVector>;
  /** Tells when what is known of other replicas has grown. @returns how to end it */
  onAdvance(listener: (known: CommitVector) => void): () => void;
  /** Makes durable what may lag behind, while no batch is under way. */
  flush(): Promise<void>;
}

/**
 * What an executor tells the replication of it, and takes from it.
 *
 * The state of a server may be lost, in part or whole, while this process goes on. Then there is
 * another *state*, with another incarnation and a vector that may be lower.
 */
export interface ReplicatedExecutor {
  /** Whose dots the next mutation has. */
  readonly incarnation: Incarnation;
  /**
   * Up to which commit of each incarnation all is durable here; no copy, so it changes. Within one
   * state it only grows, and is never ahead of what is there.
   */
  readonly known: CommitVector;
  /** What reads here may show: the known ones, and what has come in part; a copy. */
  readonly shown: CommitVector;
  /**
   * Takes note that commits of others are durable here. All of them must have been joined in, and
   * the joins have begun, in the present state: see {@link onNewState}.
   */
  advance(ranges: readonly CommitRange[]): void;
  /** Takes note that of what others had, some is about to be joined: it shows before it is known. */
  expect(theirs: CommitVector): void;
  /**
   * Tells which operation ids all others know to be counted; undefined where there are no others.
   * Must not throw.
   */
  isStable: IsStable | undefined;
  /** Told of each commit of this replica's own making, once it is durable. Must not throw. */
  onCommit: ((commit: LocalCommit) => void) | undefined;
  /** Told of commits that are durable here though nobody was told of them. Must not throw. */
  onFound: ((ranges: readonly CommitRange[]) => void) | undefined;
  /**
   * Told that the state may be another one than before: a connection to its server was lost and there
   * is a new one, or the values there were removed. `known` is that of the new state already, and so
   * is the incarnation; nothing was read from it or written to it yet. Whoever was told of the old
   * vector must be told of another life. What was joined in or read before, or has begun before, is
   * of the old state: it must neither be advanced nor be given to others as one with what is read
   * now. Must not throw. An executor whose state can't be lost while it runs never calls it.
   */
  onNewState: (() => void) | undefined;
}

/** Mutations that may be durable or not. Nothing is known until it is read again. */
export class CommitFailure extends Error {
  override readonly name = 'CommitFailure';

  constructor(cause: unknown) {
    super('a commit failed', { cause });
  }
}
