import { checkClearing } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import { type ClearingContext, clearingPart } from '../reads/clearing.ts';
import { waiting } from '../reads/cuts.ts';
import { askOwner } from '../reads/part.ts';
import { keysOf } from '../reads/plane.ts';

/** `POST /v1/clearings` */
export function checkClearingRoute(context: ClearingContext): Route {
  const { plane } = context;
  const part = clearingPart(context);
  return route(checkClearing, async ({ body, signal, trace }) => {
    const { partition } = keysOf(plane.log.info, body.tenant, body.entity);
    const wait = waiting(undefined, signal, trace);
    return ok({ stores: await askOwner(plane, part, partition, body, wait) });
  });
}
