import { listCounters } from '@memplane/contracts';
import { counterExists, counterSum, sumOfParts } from '@memplane/crdt';
import { route } from '@memplane/runtime';
import { dispatch } from '../domain/dispatch.ts';
import type { Engine } from '../domain/engine.ts';
import type { CrdtStore, ListedName, Page } from '../domain/port.ts';
import type { Consistency } from './consistency.ts';

export function listCountersRoute(engine: Engine, store: CrdtStore, consistency: Consistency) {
  return route(listCounters, ({ tenant, query, signal }) => {
    const { limit, cursor } = query;
    const local = () => pageOf(engine, store, tenant, { after: cursor, limit });
    return consistency.answer(query, signal, { local });
  });
}

/** Names that hold nothing any more are passed over; the page goes on behind them. */
async function pageOf(
  engine: Engine,
  store: CrdtStore,
  tenant: string,
  { after: cursor, limit }: Page,
): Promise<object> {
  const counters: unknown[] = [];
  let after = cursor;
  for (;;) {
    const { outcome } = await dispatch(engine, 'scan', { tenant, name: '' }, (command) => {
      command.scan = () => store.list(tenant, 'counter', { after, limit: limit + 1 });
    });
    const page = outcome.value as ListedName[];
    for (const listed of page) {
      const shown = show(listed);
      if (shown === undefined) continue;
      if (counters.length === limit) return { counters, nextCursor: after };
      counters.push(shown);
      after = listed.name;
    }
    if (page.length <= limit) return { counters };
    after = page.at(-1)?.name;
  }
}

function show({ name, counter }: ListedName): unknown {
  if (counter === undefined || !counterExists(counter)) return undefined;
  const { parts, kind } = counter;
  return {
    name,
    value: clamped(counterSum(counter)),
    ...(kind === undefined ? {} : { kind }),
    ...(parts === undefined
      ? {}
      : {
          derived: {
            logId: parts.logId,
            value: clamped(sumOfParts(parts)),
            partitions: parts.byPartition.size,
          },
        }),
  };
}

/** A list shows the nearest number for a counter that merges took out of range; its own read says so. */
function clamped(sum: bigint): number {
  const max = BigInt(Number.MAX_SAFE_INTEGER);
  return Number(sum > max ? max : sum < -max ? -max : sum);
}
