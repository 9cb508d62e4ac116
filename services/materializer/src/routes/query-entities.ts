import { queryEntities as operation } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import { waiting } from '../reads/cuts.ts';
import type { Plane } from '../reads/plane.ts';
import { queryEntities } from '../reads/query.ts';

/** `POST /v1/query` */
export function queryEntitiesRoute(plane: Plane): Route {
  return route(operation, async ({ body, tenant, signal, trace }) =>
    ok(await queryEntities(plane, tenant, body, waiting(body.waitMs, signal, trace))),
  );
}
