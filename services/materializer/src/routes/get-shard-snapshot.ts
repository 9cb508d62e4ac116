import { APPLIED_OFFSET_HEADER, getShardSnapshot, MemplaneError } from '@memplane/contracts';
import { type Route, route } from '@memplane/runtime';
import { exportShard } from '../drivers/shard-export.ts';
import type { Plane } from '../reads/plane.ts';

/** `GET /v1/snapshots/{partition}`: answered by the shard's owner alone. */
export function getShardSnapshotRoute(plane: Plane): Route {
  return route(getShardSnapshot, async ({ params: { partition } }) => {
    if (partition >= plane.shards.partitions) {
      throw new MemplaneError('not_found', `There is no partition ${partition}.`, {
        field: 'path.partition',
      });
    }
    plane.shards.at(partition);
    const exported = await exportShard(plane.store, partition);
    if (exported === undefined) return { status: 204 };
    return {
      status: 200,
      stream: exported.content,
      mediaType: 'application/octet-stream',
      headers: { [APPLIED_OFFSET_HEADER]: String(exported.offset), 'cache-control': 'no-store' },
    };
  });
}
