import { checkLiveness } from '@memplane/contracts';
import { ok, type Route, route, tenantNamed } from '@memplane/runtime';
import { waiting } from '../reads/cuts.ts';
import { checkItems } from '../reads/liveness.ts';
import type { Plane } from '../reads/plane.ts';

/** `POST /v1/liveness` */
export function checkLivenessRoute(plane: Plane): Route {
  return route(checkLiveness, async ({ body, signal, trace, ...caller }) => {
    const tenant = tenantNamed(caller, body.tenant);
    return ok(await checkItems(plane, tenant, body, waiting(body.waitMs, signal, trace)));
  });
}
