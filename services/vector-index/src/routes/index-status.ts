import { indexStatus } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import type { Generations } from '../generations.ts';

/** `GET /v1/index` */
export function indexStatusRoute(
  generations: Generations,
  partitions: () => number,
  problem: () => string | undefined,
): Route {
  return route(indexStatus, () => {
    const { logId } = generations.live;
    const trouble = problem();
    return ok({
      ...(logId === undefined ? {} : { logId }),
      ...(trouble === undefined ? {} : { problem: trouble }),
      generations: generations.all.map(({ number, index }) => ({
        generation: number,
        state: index === generations.live ? 'live' : 'building',
        ...(index.model === undefined ? {} : { model: index.model }),
        dimensions: index.dimensions,
        ...index.statusOfAll(),
        partitions: Array.from({ length: partitions() }, (_, partition) => ({
          partition,
          ...index.partition(partition),
        })),
      })),
    });
  });
}
