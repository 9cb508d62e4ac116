import { DEFAULT_TENANT, indexStatus } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import type { Generation } from '../drivers/generation.ts';

/** `GET /v1/index` */
export function indexStatusRoute(
  generation: Generation,
  partitions: () => number,
  problem: () => string | undefined,
): Route {
  return route(indexStatus, () => {
    const logId = generation.logId;
    const trouble = problem();
    return ok({
      ...(logId === undefined ? {} : { logId }),
      ...(trouble === undefined ? {} : { problem: trouble }),
      generations: [
        {
          generation: 1,
          state: 'live',
          ...(generation.model === undefined ? {} : { model: generation.model }),
          dimensions: generation.dimensions,
          ...generation.status(DEFAULT_TENANT),
          partitions: Array.from({ length: partitions() }, (_, partition) => ({
            partition,
            ...generation.partition(partition),
          })),
        },
      ],
    });
  });
}
