import { forgetMember, MemplaneError } from '@memplane/contracts';
import { ok, route } from '@memplane/runtime';
import { type Members, unknownReplica } from '../domain/cluster/members.ts';
import type { OperatorCheck } from './operator-check.ts';

/** @param members undefined where this replica is alone, and so knows no other one */
export function forgetMemberRoute(
  members: Members | undefined,
  replicaId: string,
  operator: OperatorCheck,
) {
  return route(forgetMember, async ({ params: { replica }, headers }) => {
    operator.require(headers, 'Only an operator may forget a replica.');
    if (replica === replicaId) {
      throw new MemplaneError('invalid_request', 'A replica can not forget itself.', {
        field: 'path.replica',
      });
    }
    if (members === undefined) throw unknownReplica(replica);
    return ok({ forgotten: await members.forget(replica) });
  });
}
