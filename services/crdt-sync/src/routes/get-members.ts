import { getMembers } from '@memplane/contracts';
import { ok, route } from '@memplane/runtime';
import type { Engine } from '../domain/engine.ts';

/** The one replica there is. Its view of the membership never changes. */
export function getMembersRoute(engine: Engine, replicaId: string) {
  return route(getMembers, () =>
    ok({
      viewVersion: 1,
      quorum: 1,
      members: [
        {
          replica: replicaId,
          self: true,
          state: 'alive',
          incarnation: engine.incarnation,
          viewVersion: 1,
        },
      ],
    }),
  );
}
