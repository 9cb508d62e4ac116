import type { Check, Finding } from '../check.ts';

/** No storage is damaged, full or refusing writes. */
export const storageCheck: Check = {
  name: 'storage',
  async run(plane) {
    const found: Finding[] = [];
    const { shards } = await plane.shards();
    for (const { partition, state, problem = '' } of shards) {
      if (state === 'running') continue;
      const isDamaged = state === 'damaged';
      found.push({
        code: isDamaged ? 'shard_damaged' : 'shard_paused',
        severity: 'error',
        about: `shard ${partition}`,
        detail: `${state}: ${problem}`,
        advice: isDamaged
          ? 'A record of the log can not be read: restore from a backup (docs/operations.md).'
          : 'Its storage refuses writes: make room, or make it writable; it goes on by itself.',
      });
    }
    const { details: ingest } = await plane.readiness('event-ingest');
    if (ingest['storage'] !== undefined) {
      found.push(failing('log_storage', 'event-ingest', ingest['storage']));
    }
    if (ingest['logStalled'] === true) {
      found.push(failing('log_stalled', 'event-ingest', 'appends do not come to an end'));
    }
    const { details: crdt } = await plane.readiness('crdt-sync');
    if (crdt['storage'] !== undefined && crdt['storage'] !== 'ok') {
      found.push(failing('crdt_storage', 'crdt-sync', crdt['storage']));
    }
    const { problem } = await plane.index();
    if (problem !== undefined) found.push(failing('index_problem', 'vector-index', problem));
    return found;
  },
};

function failing(code: string, about: string, why: unknown): Finding {
  return {
    code,
    severity: 'error',
    about,
    detail: typeof why === 'string' ? why : JSON.stringify(why),
    advice: 'See the disk (room, permissions, the log of the system) or server behind it.',
  };
}
