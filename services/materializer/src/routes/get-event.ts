import { getEvent } from '@memplane/contracts';
import { type Route, route } from '@memplane/runtime';
import { waitForTokens, waiting } from '../reads/cuts.ts';
import { readEvent } from '../reads/history.ts';
import type { Plane } from '../reads/plane.ts';

/** `GET /v1/events` */
export function getEventRoute(plane: Plane): Route {
  return route(getEvent, async ({ query, tenant, signal, trace }) => {
    const wait = waiting(query.waitMs, signal, trace);
    await waitForTokens(plane, query.after, wait);
    const { id, entity } = query;
    return { status: 200, raw: await readEvent(plane, { tenant, id, entity }, wait) };
  });
}
