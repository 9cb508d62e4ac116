import { getSet } from '@memplane/contracts';
import { ok, route } from '@memplane/runtime';
import type { Engine } from '../domain/engine.ts';
import type { CrdtStore } from '../domain/port.ts';
import { dispatch } from './dispatch.ts';

export function getSetRoute(engine: Engine, store: CrdtStore) {
  return route(getSet, async ({ tenant, params, query }) => {
    const ref = { tenant, name: params.name };
    const { limit, cursor: after } = query;
    // The first finds a name that holds another type; both are in one batch, or close.
    const [, { outcome }] = await Promise.all([
      dispatch(engine, 'set-get', ref),
      dispatch(engine, 'scan', ref, (command) => {
        command.scan = () => store.elements(ref, { after, limit: limit + 1 });
      }),
    ]);
    const found = outcome.value as string[];
    const elements = found.slice(0, limit);
    const nextCursor = found.length > limit ? elements.at(-1) : undefined;
    return ok({ elements, ...(nextCursor === undefined ? {} : { nextCursor }) });
  });
}
