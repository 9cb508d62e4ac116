import { resolveCut } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import { latestCut, resolveAsOf, tokenOf, waiting } from '../reads/cuts.ts';
import { inSnapshot, type Plane } from '../reads/plane.ts';

/** `POST /v1/cuts` */
export function resolveCutRoute(plane: Plane): Route {
  return route(resolveCut, async ({ body, signal }) => {
    const { asOf, tenant, entity, waitMs } = body;
    const wait = waiting(waitMs, signal);
    const cut =
      asOf === undefined
        ? await inSnapshot(plane, (reader) => latestCut(plane, reader))
        : await resolveAsOf(plane, { asOf, tenant, entity, wait, field: 'body.asOf' });
    const historyStarts = Object.fromEntries(
      Array.from(plane.shards, ({ partition, record }) => [partition, record.historyStart]),
    );
    return ok({ token: tokenOf(plane, cut), timeMs: cut.timeMs, historyStarts });
  });
}
