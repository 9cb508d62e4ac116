import { getHistory } from '@memplane/contracts';
import { type Route, route } from '@memplane/runtime';
import { waitForTokens, waiting } from '../reads/cuts.ts';
import { readHistory } from '../reads/history.ts';
import { keysOf, type Plane } from '../reads/plane.ts';

const LIMIT_DEFAULT = 100;

/** `GET /v1/entities/{kind}/{id}/history` */
export function getHistoryRoute(plane: Plane): Route {
  return route(getHistory, async ({ params, query, tenant, signal }) => {
    const entity = `${params.kind}/${params.id}`;
    const { partition } = keysOf(plane.log.info, tenant, entity);
    await waitForTokens(plane, query.after, waiting(query.waitMs, signal), partition);
    const { from = 0, limit = LIMIT_DEFAULT } = query;
    return { status: 200, raw: await readHistory(plane, { tenant, entity, from, limit }) };
  });
}
