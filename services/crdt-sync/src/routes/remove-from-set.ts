import { removeFromSet } from '@memplane/contracts';
import { ok, route } from '@memplane/runtime';
import type { Engine } from '../domain/engine.ts';
import { dispatch } from './dispatch.ts';

export function removeFromSetRoute(engine: Engine) {
  return route(removeFromSet, async ({ tenant, params, body }) => {
    const ref = { tenant, name: params.name };
    const { outcome } = await dispatch(engine, 'set-remove', ref, (command) => {
      command.elements = [body.element];
    });
    return ok({ removed: outcome.number > 0 });
  });
}
