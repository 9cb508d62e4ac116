import { getCounter } from '@memplane/contracts';
import { route } from '@memplane/runtime';
import { dispatch } from '../domain/dispatch.ts';
import type { Engine } from '../domain/engine.ts';
import { counterOf } from '../domain/replication/quorum-values.ts';
import type { Consistency } from './consistency.ts';

export function getCounterRoute(engine: Engine, consistency: Consistency) {
  return route(getCounter, ({ tenant, params, query, signal }) => {
    const ref = { tenant, name: params.name };
    return consistency.answer(query, signal, {
      local: async () => ({ value: (await dispatch(engine, 'counter-get', ref)).outcome.number }),
      quorum: { ref, of: (state) => ({ value: counterOf(state, ref) }) },
    });
  });
}
