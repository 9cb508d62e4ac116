import { createReplay, getReplay } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import type { ReplayJobs } from '../drivers/replay-jobs.ts';
import type { ReplaySettings } from '../drivers/replay-run.ts';
import { waiting } from '../reads/cuts.ts';
import type { Plane } from '../reads/plane.ts';
import { findReplay, planReplay } from '../reads/replays.ts';

export interface ReplayRouteSettings extends ReplaySettings {
  /** How long the answer waits for a short replay, so that it need not be asked for again. */
  readonly replayWaitMs: number;
}

/** `POST /v1/replays` and `GET /v1/replays/{id}` */
export function replayRoutes(
  plane: Plane,
  jobs: ReplayJobs,
  settings: ReplayRouteSettings,
): Route[] {
  return [
    route(createReplay, async ({ body, tenant, signal }) => {
      const work = await planReplay(plane, tenant, body, settings, waiting(undefined, signal));
      const id = jobs.submit(tenant, work);
      await jobs.wait(tenant, id, settings.replayWaitMs);
      return { status: 202, body: jobs.get(tenant, id) };
    }),
    route(getReplay, async ({ params, tenant, signal, trace }) => {
      const wait = waiting(0, signal, trace);
      return ok(await findReplay(plane, jobs, { tenant, id: params.id }, wait));
    }),
  ];
}
