import { MemplaneError } from '@memplane/contracts';
import type { Agreement } from './agreement.ts';
import { majorityOf, type ReplicaSet } from './replica-set.ts';
import type { SetParticipants } from './replica-set-keeper.ts';

export interface ClusterParticipantsOptions {
  readonly self: string;
  readonly agreement: Agreement;
  /** The others that live. */
  readonly live: () => readonly string[];
  /** Takes over all that differs at another one. Durable when it resolves. */
  readonly catchUp: (id: string) => Promise<void>;
  readonly toError: (cause: unknown) => MemplaneError;
}

/** The other replicas, as a change of the replica set needs them. */
export class ClusterParticipants implements SetParticipants {
  readonly #options: ClusterParticipantsOptions;

  constructor(options: ClusterParticipantsOptions) {
    this.#options = options;
  }

  /** One after the other: each may be a comparison of all values. */
  async takeOver(version: number, from: readonly string[]): Promise<void> {
    const { agreement, catchUp, self } = this.#options;
    const needed = majorityOf(from);
    let done = from.includes(self) ? 1 : 0;
    let failure: unknown;
    for (const id of from) {
      if (done >= needed) return;
      if (id === self) continue;
      try {
        // In this order: what it answers for an earlier version, it has before it is compared with.
        await agreement.goesBy(id, version);
        await catchUp(id);
        done++;
      } catch (cause) {
        failure = cause;
      }
    }
    if (done >= needed) return;
    throw new MemplaneError('no_quorum', `No majority of ${from} can be taken over from.`, {
      cause: failure,
    });
  }

  /**
   * Those that live have to go by the record: one of an earlier version of this software, or without
   * the strong store, would count majorities of a set of long ago.
   */
  async check({ version }: ReplicaSet, added?: string): Promise<void> {
    const { live, self, toError } = this.#options;
    const others = live();
    if (added !== undefined && added !== self && !others.includes(added)) {
      throw new MemplaneError('not_found', `No replica ${added} lives, as far as is known here.`, {
        field: 'path.replica',
      });
    }
    const refusals = await Promise.all(
      others.map(async (id) => {
        try {
          await this.#options.agreement.goesBy(id, version);
          return undefined;
        } catch (cause) {
          const { code, message } = toError(cause);
          // One that does not answer, or reach the store, is no reason: it may be the one to go.
          return code === 'not_implemented' || id === added ? `${id} (${message})` : undefined;
        }
      }),
    );
    const refusing = refusals.filter((refusal) => refusal !== undefined);
    if (refusing.length === 0) return;
    throw new MemplaneError(
      'no_quorum',
      `Replicas do not go by the record of the replica set: ${refusing.join('; ')}`.slice(0, 500),
      { retryAfterMs: 1_000 },
    );
  }
}
