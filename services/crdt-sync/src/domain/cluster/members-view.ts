import type { Engine } from '../engine.ts';
import { majorityOf } from '../replica-set/replica-set.ts';
import type { ReplicaSets } from '../replica-set/replica-sets.ts';
import type { ListedMember, Members } from './members.ts';

export interface MembersParts {
  readonly engine: Engine;
  readonly replicaId: string;
  readonly sets: ReplicaSets;
  /** Undefined where this replica is alone. */
  readonly members: Members | undefined;
}

export interface MembersView {
  readonly viewVersion: number;
  /** How many replicas are a majority of the replica set. */
  readonly quorum: number;
  readonly replicaSet: ShownReplicaSet;
  readonly members: readonly ListedMember[];
}

export interface ShownReplicaSet {
  /** 0: by the settings, or not known yet. */
  readonly version: number;
  readonly replicas: readonly string[];
  /** Whether it is known here. */
  readonly known: boolean;
  /** Whether the last change is over, so that there may be another one. */
  readonly settled: boolean;
  /** Who has not confirmed that change. */
  readonly unconfirmed: readonly string[];
}

/** The membership as this replica sees it. Of one that is alone, the view never changes. */
export function membersView({ engine, replicaId, sets, members }: MembersParts): MembersView {
  const replicaSet = shownSet(sets);
  const quorum = majorityOf(replicaSet.replicas);
  if (members !== undefined) {
    return { viewVersion: members.viewVersion, quorum, replicaSet, members: members.list() };
  }
  const { incarnation } = engine;
  const alone = { self: true, state: 'alive', incarnation, viewVersion: 1 } as const;
  return { viewVersion: 1, quorum, replicaSet, members: [{ replica: replicaId, ...alone }] };
}

export function shownSet({ current, shown, unconfirmed }: ReplicaSets): ShownReplicaSet {
  const { replicas, version } = shown;
  const known = current !== undefined;
  return { version, replicas, known, settled: known && unconfirmed.length === 0, unconfirmed };
}
