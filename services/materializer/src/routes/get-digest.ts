import { getDigest, MemplaneError } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import { waiting } from '../reads/cuts.ts';
import { digestViews } from '../reads/digest.ts';
import type { Plane } from '../reads/plane.ts';

/** `GET /v1/digest` */
export function getDigestRoute(plane: Plane): Route {
  return route(getDigest, async ({ query: { partition }, signal, trace }) => {
    if (partition !== undefined && partition >= plane.shards.partitions) {
      throw new MemplaneError('not_found', `There is no partition ${partition}.`, {
        field: 'query.partition',
      });
    }
    return ok(await digestViews(plane, partition, waiting(undefined, signal, trace)));
  });
}
