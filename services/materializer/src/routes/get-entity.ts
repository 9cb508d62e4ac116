import { getEntity, MemplaneError } from '@memplane/contracts';
import { type Route, route } from '@memplane/runtime';
import { waiting } from '../reads/cuts.ts';
import { readEntity } from '../reads/entity.ts';
import { type Heads, readLinearizable } from '../reads/linearizable.ts';
import type { Plane } from '../reads/plane.ts';

/** `GET /v1/entities/{kind}/{id}`. @param heads undefined: there are no strong entities */
export function getEntityRoute(plane: Plane, heads: Heads | undefined): Route {
  return route(getEntity, async ({ params, query, tenant, signal, trace }) => {
    const request = {
      tenant,
      entity: `${params.kind}/${params.id}`,
      after: query.after,
      asOf: query.asOf,
      wait: waiting(query.waitMs, signal, trace),
    };
    if (query.consistency !== 'linearizable') {
      return { status: 200, raw: await readEntity(plane, request) };
    }
    if (query.asOf !== undefined) {
      const what = 'query.consistency: a read of the past is not linearizable.';
      throw new MemplaneError('invalid_request', what, { field: 'query.consistency' });
    }
    if (heads === undefined) {
      throw new MemplaneError('not_implemented', 'There are no strong entities here.', {
        field: 'query.consistency',
      });
    }
    return { status: 200, raw: await readLinearizable(plane, heads, request) };
  });
}
