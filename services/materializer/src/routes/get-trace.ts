import { getTrace } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import { waitForTokens, waiting } from '../reads/cuts.ts';
import type { Plane } from '../reads/plane.ts';
import { readTrace } from '../reads/trace.ts';

/** `GET /v1/trace` */
export function getTraceRoute(plane: Plane): Route {
  return route(getTrace, async ({ query, tenant, signal, trace }) => {
    const wait = waiting(query.waitMs, signal, trace);
    await waitForTokens(plane, query.after, wait);
    const { id, entity } = query;
    return ok(await readTrace(plane, { tenant, id, entity }, wait));
  });
}
