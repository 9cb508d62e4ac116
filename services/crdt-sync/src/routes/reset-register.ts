import { resetRegister } from '@memplane/contracts';
import { ok, route } from '@memplane/runtime';
import type { Engine } from '../domain/engine.ts';
import { dispatch } from './dispatch.ts';

export function resetRegisterRoute(engine: Engine) {
  return route(resetRegister, async ({ tenant, params }) => {
    const ref = { tenant, name: params.name };
    const { outcome } = await dispatch(engine, 'register-reset', ref);
    return ok({ reset: outcome.number > 0 });
  });
}
