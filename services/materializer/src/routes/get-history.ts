import { getHistory } from '@memplane/contracts';
import { type Route, route } from '@memplane/runtime';
import { waiting } from '../reads/cuts.ts';
import { readHistory } from '../reads/history.ts';
import type { Plane } from '../reads/plane.ts';

const LIMIT_DEFAULT = 100;

/** `GET /v1/entities/{kind}/{id}/history` */
export function getHistoryRoute(plane: Plane): Route {
  return route(getHistory, async ({ params, query, tenant, signal, trace }) => {
    const entity = `${params.kind}/${params.id}`;
    const { from = 0, limit = LIMIT_DEFAULT, after, waitMs } = query;
    const wait = waiting(waitMs, signal, trace);
    return {
      status: 200,
      raw: await readHistory(plane, { tenant, entity, from, limit, after }, wait),
    };
  });
}
