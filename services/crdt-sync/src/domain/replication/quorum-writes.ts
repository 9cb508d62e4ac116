import type { MemplaneError } from '@memplane/contracts';
import type { Timers } from '@memplane/gossip';
import { type Command, type CommitId, commitOf } from '../command.ts';
import type { Quorum } from './quorum.ts';
import type { Replicator } from './replicator.ts';

export interface QuorumWritesOptions {
  readonly quorum: Quorum;
  readonly replicator: Replicator;
  readonly timers: Timers;
  readonly timeoutMs: number;
}

/** Waits until what was written here, durably, is durable at a majority of the replica set. */
export class QuorumWrites {
  readonly #options: QuorumWritesOptions;

  constructor(options: QuorumWritesOptions) {
    this.#options = options;
  }

  /**
   * A write that changed something is in one commit, and a replica that has that in its vector has
   * all that was before it too. One that changed nothing (an operation id that is known already, an
   * element that is gone already) repeats what came with some commit of any replica, which is not
   * remembered: then all that the name holds here, its operation ids among it, is brought to a
   * majority. That is at least what was repeated.
   * @throws MemplaneError `no_quorum`; the write stays, and spreads
   */
  async confirmed(command: Command): Promise<void> {
    const commit = commitOf(command);
    try {
      if (commit === undefined) await this.#options.quorum.write(command);
      else await this.#hasMajority(commit);
    } catch (cause) {
      throw this.#unconfirmed(command, cause);
    }
  }

  async #hasMajority(commit: CommitId): Promise<void> {
    const { quorum, replicator, timers, timeoutMs } = this.#options;
    const { others, othersNeeded } = quorum;
    const ending = new AbortController();
    const cancel = timers.after(timeoutMs, () => ending.abort());
    try {
      if (await replicator.confirmed(commit, others, othersNeeded, ending.signal)) return;
    } finally {
      cancel();
    }
    throw quorum.noQuorum(`No majority has confirmed it within ${timeoutMs} ms.`);
  }

  #unconfirmed({ type, opId }: Command, cause: unknown): MemplaneError {
    const words = cause instanceof Error ? cause.message : 'No majority has confirmed it.';
    const repeating =
      type !== 'increment'
        ? 'Repeating it does no harm, but counts as done later.'
        : opId === undefined
          ? 'It has no opId, so repeating it would count it again: read instead.'
          : 'Repeating it with the same opId is safe, at any replica: it counts once.';
    return this.#options.quorum.noQuorum(
      `${words} The write is durable on this replica and will spread; it is not undone. ${repeating}`,
      { durable: true },
    );
  }
}
