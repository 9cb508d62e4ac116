import { resolveCut } from '@memplane/contracts';
import { ok, type Route, route, tenantNamed } from '@memplane/runtime';
import { historyStarts, latestCut, resolveAsOf, tokenOf, waiting } from '../reads/cuts.ts';
import type { Plane } from '../reads/plane.ts';

/** `POST /v1/cuts` */
export function resolveCutRoute(plane: Plane): Route {
  return route(resolveCut, async ({ body, signal, trace, ...caller }) => {
    const { asOf, entity, waitMs } = body;
    const tenant = tenantNamed(caller, body.tenant);
    const wait = waiting(waitMs, signal, trace);
    const cut =
      asOf === undefined
        ? await latestCut(plane, wait)
        : await resolveAsOf(plane, { asOf, tenant, entity, wait, field: 'body.asOf' });
    const starts = Object.fromEntries(await historyStarts(plane, wait));
    return ok({ token: tokenOf(plane, cut), timeMs: cut.timeMs, historyStarts: starts });
  });
}
