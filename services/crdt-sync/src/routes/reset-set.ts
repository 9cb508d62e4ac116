import { resetSet } from '@memplane/contracts';
import { ok, route } from '@memplane/runtime';
import type { Engine } from '../domain/engine.ts';
import { dispatch } from './dispatch.ts';

export function resetSetRoute(engine: Engine) {
  return route(resetSet, async ({ tenant, params }) => {
    const ref = { tenant, name: params.name };
    const { outcome } = await dispatch(engine, 'set-reset', ref);
    return ok({ reset: outcome.number > 0 });
  });
}
