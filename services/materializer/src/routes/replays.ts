import { createReplay, getReplay } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import type { ReplayJobs } from '../drivers/replay-jobs.ts';
import type { ReplaySettings } from '../drivers/replay-run.ts';
import { waiting } from '../reads/cuts.ts';
import type { Plane } from '../reads/plane.ts';
import { planReplay } from '../reads/replays.ts';

/** How long the answer waits for a short replay, so that it need not be asked for again. */
const SHORT_REPLAY_MS = 250;

/** `POST /v1/replays` and `GET /v1/replays/{id}` */
export function replayRoutes(plane: Plane, jobs: ReplayJobs, settings: ReplaySettings): Route[] {
  return [
    route(createReplay, async ({ body, tenant, signal }) => {
      const work = await planReplay(plane, tenant, body, settings, waiting(undefined, signal));
      const id = jobs.submit(tenant, work);
      await jobs.wait(tenant, id, SHORT_REPLAY_MS);
      return { status: 202, body: jobs.get(tenant, id) };
    }),
    route(getReplay, ({ params, tenant }) => ok(jobs.get(tenant, params.id))),
  ];
}

export const REPLAY_SETTINGS = {
  replays_running_max: 1,
  replays_waiting_max: 16,
  replays_kept_max: 32,
  replayDurationMsMax: 10 * 60_000,
  replay_events_max: 10_000_000,
  replay_result_entities_max: 1_000,
  replay_result_bytes_max: 1024 * 1024,
} as const;
