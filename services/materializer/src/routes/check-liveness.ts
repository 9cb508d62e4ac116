import { checkLiveness } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import { checkItems } from '../reads/liveness.ts';
import type { Plane } from '../reads/plane.ts';

/** `POST /v1/liveness` */
export function checkLivenessRoute(plane: Plane): Route {
  return route(checkLiveness, async ({ body, signal }) =>
    ok(await checkItems(plane, body.tenant, body, signal)),
  );
}
