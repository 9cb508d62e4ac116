import { getSet } from '@memplane/contracts';
import { route } from '@memplane/runtime';
import { dispatch } from '../domain/dispatch.ts';
import type { Engine } from '../domain/engine.ts';
import type { CrdtStore } from '../domain/port.ts';
import { elementsOf } from '../domain/replication/quorum-values.ts';
import type { Consistency } from './consistency.ts';

export function getSetRoute(engine: Engine, store: CrdtStore, consistency: Consistency) {
  return route(getSet, ({ tenant, params, query, signal }) => {
    const ref = { tenant, name: params.name };
    const { limit } = query;
    const page = { after: query.cursor, limit: limit + 1 };
    return consistency.answer(query, signal, {
      local: async () => {
        // The first finds a name that holds another type; both are in one batch, or close.
        const [, { outcome }] = await Promise.all([
          dispatch(engine, 'set-get', ref),
          dispatch(engine, 'scan', ref, (command) => {
            command.scan = () => store.elements(ref, page);
          }),
        ]);
        return shown(outcome.value as string[], limit);
      },
      quorum: { ref, of: (state) => shown(elementsOf(state, ref, page), limit) },
    });
  });
}

function shown(found: readonly string[], limit: number): object {
  const elements = found.slice(0, limit);
  const nextCursor = found.length > limit ? elements.at(-1) : undefined;
  return { elements, ...(nextCursor === undefined ? {} : { nextCursor }) };
}
