import { getShards } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import { waiting } from '../reads/cuts.ts';
import type { Plane } from '../reads/plane.ts';
import { listShards } from '../reads/shards.ts';

/** `GET /v1/shards` */
export function getShardsRoute(plane: Plane, owner: string): Route {
  return route(getShards, async ({ signal, trace }) =>
    ok(await listShards(plane, owner, waiting(undefined, signal, trace))),
  );
}
