import { getMembers } from '@memplane/contracts';
import { ok, route } from '@memplane/runtime';
import { type MembersParts, membersView } from '../domain/cluster/members-view.ts';

export function getMembersRoute(parts: MembersParts) {
  return route(getMembers, () => ok(membersView(parts)));
}
