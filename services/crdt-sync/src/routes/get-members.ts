import { getMembers } from '@memplane/contracts';
import { ok, route } from '@memplane/runtime';
import type { Members } from '../domain/cluster/members.ts';
import type { Engine } from '../domain/engine.ts';

export interface MembersParts {
  readonly engine: Engine;
  readonly replicaId: string;
  readonly replicaSet: readonly string[];
  /** Undefined where this replica is alone. */
  readonly members: Members | undefined;
}

/** Of one that is alone, the view of the membership never changes. */
export function getMembersRoute({ engine, replicaId, replicaSet, members }: MembersParts) {
  const quorum = Math.floor(replicaSet.length / 2) + 1;
  return route(getMembers, () => {
    if (members !== undefined) {
      return ok({ viewVersion: members.viewVersion, quorum, members: members.list() });
    }
    const { incarnation } = engine;
    const alone = { replica: replicaId, self: true, state: 'alive', incarnation, viewVersion: 1 };
    return ok({ viewVersion: 1, quorum, members: [alone] });
  });
}
