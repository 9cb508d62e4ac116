import { MemplaneError } from '@memplane/contracts';
import type { Heartbeats } from '../heartbeats/heartbeats.ts';
import type { Membership } from '../membership.ts';
import type { ReplicaSets } from '../replica-set/replica-sets.ts';
import type { Cluster } from './cluster.ts';

/** A replica as an operator sees it. */
export interface ListedMember {
  readonly replica: string;
  readonly self: boolean;
  readonly state: 'alive' | 'suspect' | 'dead' | 'left';
  readonly incarnation: string;
  readonly viewVersion: number;
  readonly address?: string;
  readonly replicaSet?: boolean;
  readonly heardMs?: number;
}

export interface MembersOptions {
  readonly cluster: Cluster;
  readonly heartbeats: Heartbeats;
  readonly membership: Membership;
  readonly sets: ReplicaSets;
  /** Under which this replica gives out dots now. */
  readonly incarnation: () => string;
}

/** What operators are told of the cluster, and what they may do about it. */
export class Members {
  readonly #options: MembersOptions;

  constructor(options: MembersOptions) {
    this.#options = options;
  }

  get viewVersion(): number {
    return this.#options.cluster.viewVersion;
  }

  list(): ListedMember[] {
    const { cluster, heartbeats, incarnation, sets } = this.#options;
    const { replicas } = sets.shown;
    return cluster.members().map(({ id, address, status }) => {
      const shown = { replica: id, self: id === cluster.self, state: status, address };
      const isInSet = replicas.includes(id);
      if (shown.self) {
        const { viewVersion } = cluster;
        return { ...shown, incarnation: incarnation(), viewVersion, replicaSet: isInSet };
      }
      const heard = heartbeats.of(id);
      return {
        ...shown,
        incarnation: heard?.incarnation ?? '',
        viewVersion: heard?.viewVersion ?? 0,
        replicaSet: isInSet,
        ...(heard === undefined ? {} : { heardMs: Math.round(heard.heardMs) }),
      };
    });
  }

  /** How many members are in each state. */
  states(): Record<ListedMember['state'], number> {
    const counts = { alive: 0, suspect: 0, dead: 0, left: 0 };
    for (const { status } of this.#options.cluster.members()) counts[status]++;
    return counts;
  }

  /**
   * Forgets a replica for good, after it was taken out of the replica set: else it would count as one
   * that never answers. Gives all that are forgotten.
   * @throws MemplaneError `not_found` for one that nobody knows, and as `ReplicaSets.remove` and
   * `Cluster.forget`
   */
  async forget(id: string): Promise<string[]> {
    const { cluster, heartbeats, membership, sets } = this.#options;
    const isKnown =
      cluster.members().some((member) => member.id === id) ||
      heartbeats.expects(id) ||
      sets.shown.replicas.includes(id) ||
      membership.isForgotten(id);
    if (!isKnown) throw unknownReplica(id);
    // One that settings name counts still, as one that never answers.
    if (!sets.isFixed) await sets.remove(id);
    await cluster.forget(id);
    return [...membership.forgotten].sort();
  }
}

export function unknownReplica(id: string): MemplaneError {
  return new MemplaneError('not_found', `No replica ${id} is known here.`, {
    field: 'path.replica',
  });
}
