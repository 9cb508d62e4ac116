import type { ReplicaMembers } from '@memplane/client';
import type { Check, Finding } from '../check.ts';

/** All replicas are heard, and every shard has an owner. */
export const membersCheck: Check = {
  name: 'members',
  async run(plane) {
    const { members, quorum } = await plane.http.json<ReplicaMembers>('crdt-sync', '/v1/members');
    const found: Finding[] = [];
    for (const { replica, state, replicaSet, heardMs } of members) {
      if (state === 'alive' || state === 'left') continue;
      found.push({
        code: 'replica_not_heard',
        severity: state === 'dead' && replicaSet !== false ? 'error' : 'warning',
        about: replica,
        detail: `${state}${heardMs === undefined ? '' : `, last heard ${heardMs} ms ago`}`,
        advice: 'Start it, mend the network, or let an operator forget it for good.',
      });
    }
    const heard = members.filter(
      ({ state, replicaSet }) => state === 'alive' && replicaSet !== false,
    );
    if (heard.length < quorum) {
      found.push({
        code: 'no_quorum',
        severity: 'error',
        about: 'replicas',
        detail: `${heard.length} of the ${quorum} that a majority needs are heard`,
        advice: 'Reads and writes that ask for a quorum fail until more replicas are back.',
      });
    }
    const { moving = [] } = await plane.shards();
    if (moving.length > 0) {
      found.push({
        code: 'shard_without_owner',
        severity: 'error',
        about: `shards ${moving.join(', ')}`,
        detail: 'no instance of the materializer owns them at the moment',
        advice:
          'A plane that starts opens its shards by and by. Else wait for a session timeout; then see ' +
          'that enough instances run, and reach Kafka.',
      });
    }
    return found;
  },
};
