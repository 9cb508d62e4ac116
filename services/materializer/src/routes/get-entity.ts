import { getEntity } from '@memplane/contracts';
import { type Route, route } from '@memplane/runtime';
import { waiting } from '../reads/cuts.ts';
import { readEntity } from '../reads/entity.ts';
import type { Plane } from '../reads/plane.ts';

/** `GET /v1/entities/{kind}/{id}` */
export function getEntityRoute(plane: Plane): Route {
  return route(getEntity, async ({ params, query, tenant, signal, trace }) => ({
    status: 200,
    raw: await readEntity(plane, {
      tenant,
      entity: `${params.kind}/${params.id}`,
      after: query.after,
      asOf: query.asOf,
      wait: waiting(query.waitMs, signal, trace),
    }),
  }));
}
