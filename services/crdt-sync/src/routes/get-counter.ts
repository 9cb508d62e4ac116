import { getCounter } from '@memplane/contracts';
import { ok, route } from '@memplane/runtime';
import type { Engine } from '../domain/engine.ts';
import { dispatch } from './dispatch.ts';

/** One replica is a majority of one: `local` and `quorum` read the same. */
export function getCounterRoute(engine: Engine) {
  return route(getCounter, async ({ tenant, params }) => {
    const { outcome } = await dispatch(engine, 'counter-get', { tenant, name: params.name });
    return ok({ value: outcome.number });
  });
}
