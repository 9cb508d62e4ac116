import type { Engine } from '../engine.ts';
import type { ListedMember, Members } from './members.ts';

export interface MembersParts {
  readonly engine: Engine;
  readonly replicaId: string;
  readonly replicaSet: readonly string[];
  /** Undefined where this replica is alone. */
  readonly members: Members | undefined;
}

export interface MembersView {
  readonly viewVersion: number;
  /** How many replicas are a majority of the replica set. */
  readonly quorum: number;
  readonly members: readonly ListedMember[];
}

/** The membership as this replica sees it. Of one that is alone, the view never changes. */
export function membersView({ engine, replicaId, replicaSet, members }: MembersParts): MembersView {
  const quorum = Math.floor(replicaSet.length / 2) + 1;
  if (members !== undefined) {
    return { viewVersion: members.viewVersion, quorum, members: members.list() };
  }
  const { incarnation } = engine;
  const alone = { self: true, state: 'alive', incarnation, viewVersion: 1 } as const;
  return { viewVersion: 1, quorum, members: [{ replica: replicaId, ...alone }] };
}
