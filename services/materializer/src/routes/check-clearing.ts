import { checkClearing } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import { type ClearingContext, clearingOf } from '../reads/clearing.ts';
import { waiting } from '../reads/cuts.ts';

/** `POST /v1/clearings` */
export function checkClearingRoute(context: ClearingContext): Route {
  return route(checkClearing, async ({ body, signal, trace }) => {
    return ok({ stores: await clearingOf(context, body, waiting(undefined, signal, trace)) });
  });
}
