import { resetCounter } from '@memplane/contracts';
import { ok, route } from '@memplane/runtime';
import type { Engine } from '../domain/engine.ts';
import { dispatch } from './dispatch.ts';

export function resetCounterRoute(engine: Engine) {
  return route(resetCounter, async ({ tenant, params }) => {
    const ref = { tenant, name: params.name };
    const { outcome } = await dispatch(engine, 'counter-reset', ref);
    return ok({ reset: outcome.number > 0 });
  });
}
