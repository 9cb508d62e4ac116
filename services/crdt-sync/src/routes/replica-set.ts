import { addReplica, removeReplica } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import { shownSet } from '../domain/cluster/members-view.ts';
import type { ReplicaSets } from '../domain/replica-set/replica-sets.ts';
import type { OperatorCheck } from './operator-check.ts';

export function replicaSetRoutes(sets: ReplicaSets, operator: OperatorCheck): Route[] {
  const add = route(addReplica, async ({ params: { replica }, headers }) => {
    operator.require(headers, 'Only an operator may change the replica set.');
    await sets.add(replica);
    return ok(shownSet(sets));
  });
  const remove = route(removeReplica, async ({ params: { replica }, headers }) => {
    operator.require(headers, 'Only an operator may change the replica set.');
    await sets.remove(replica);
    return ok(shownSet(sets));
  });
  return [add, remove] satisfies Route[];
}
