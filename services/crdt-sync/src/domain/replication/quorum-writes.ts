import { MemplaneError } from '@memplane/contracts';
import { type Command, type CommitId, commitOf } from '../command.ts';
import type { Agreement } from '../replica-set/agreement.ts';
import {
  FIRST_VERSION,
  othersNeeded,
  othersOf,
  type ReplicaSet,
} from '../replica-set/replica-set.ts';
import type { ReplicaSets } from '../replica-set/replica-sets.ts';
import type { Quorum } from './quorum.ts';
import type { Replicator } from './replicator.ts';

export interface QuorumWritesOptions {
  readonly self: string;
  readonly sets: ReplicaSets;
  readonly quorum: Quorum;
  readonly agreement: Agreement;
  readonly replicator: Replicator;
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
    const { quorum } = this.#options;
    await quorum.inTime('confirmed it', (signal) =>
      quorum.atOneVersion((set) => this.#hasMajorityOf(set, commit, signal)),
    );
  }

  /** By replication's own word first: it tells soon, but not by which version a replica goes. */
  async #hasMajorityOf(set: ReplicaSet, commit: CommitId, signal: AbortSignal): Promise<void> {
    const { agreement, quorum, replicator, self, sets } = this.#options;
    const others = othersOf(set, self);
    const needed = othersNeeded(set, self);
    if (needed <= 0) return;
    if (!(await replicator.confirmed(commit, others, needed, signal))) {
      throw quorum.noQuorum('No majority of the replica set has confirmed it.');
    }
    if (sets.isFixed) return;
    await quorum.firstOf(others, needed, async (id) => {
      try {
        await agreement.has(id, set.version, commit);
      } catch (cause) {
        // One of an earlier version of this software goes by the first version, and can't say so.
        const isEarlier = cause instanceof MemplaneError && cause.code === 'not_implemented';
        if (!isEarlier || set.version > FIRST_VERSION) throw cause;
        if (!(await replicator.confirmed(commit, [id], 1, signal))) throw cause;
      }
    });
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
