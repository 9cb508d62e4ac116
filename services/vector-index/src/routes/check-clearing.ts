import { checkClearing } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import type { Generations } from '../generations.ts';

const IN_MILVUS = 'Rows are removed from Milvus; its own files lose them by its compaction.';

/**
 * `POST /v1/clearings`. Vectors that the plane computed go before an erasure counts as applied; what
 * the index holds goes with its files, once another has been built.
 */
export function checkClearingRoute(generations: Generations): Route {
  return route(checkClearing, ({ body: { tenant, entity, partition, offset } }) => {
    const { live } = generations;
    const isApplied = (live.applied.get(partition) ?? -1) >= offset;
    const left = generations.all.reduce(
      (sum, { index }) => sum + index.rowsBefore(tenant, entity, offset),
      0,
    );
    const { elsewhere } = live;
    const areVectors = isApplied && (elsewhere?.removing ?? 0) === 0;
    const isClear = isApplied && left === 0 && !live.hasErased && !generations.hasOthers;
    return ok({
      stores: [
        { store: 'index', isClear, left },
        { store: 'vectors', isClear: areVectors, ...(elsewhere ? { note: IN_MILVUS } : {}) },
      ],
    });
  });
}
