import { getUsage } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import { waiting } from '../reads/cuts.ts';
import type { Plane } from '../reads/plane.ts';
import { usageOf } from '../reads/usage.ts';

/** `GET /v1/usage` */
export function getUsageRoute(plane: Plane): Route {
  return route(getUsage, async ({ signal, trace }) =>
    ok(await usageOf(plane, waiting(undefined, signal, trace))),
  );
}
