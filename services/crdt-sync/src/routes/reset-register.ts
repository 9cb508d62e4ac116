import { resetRegister } from '@memplane/contracts';
import { ok, route } from '@memplane/runtime';
import { dispatch } from '../domain/dispatch.ts';
import type { Engine } from '../domain/engine.ts';
import type { Consistency } from './consistency.ts';

export function resetRegisterRoute(engine: Engine, consistency: Consistency) {
  return route(resetRegister, async ({ tenant, params, query }) => {
    const ref = { tenant, name: params.name };
    const done = await dispatch(engine, 'register-reset', ref);
    const reset = done.outcome.number > 0;
    return ok({ reset, ...(await consistency.written(query, done)) });
  });
}
