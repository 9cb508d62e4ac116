import { addToSet } from '@memplane/contracts';
import { ok, route } from '@memplane/runtime';
import type { Engine } from '../domain/engine.ts';
import { dispatch } from './dispatch.ts';

export function addToSetRoute(engine: Engine) {
  return route(addToSet, async ({ tenant, params, body }) => {
    const ref = { tenant, name: params.name };
    const { outcome } = await dispatch(engine, 'set-add', ref, (command) => {
      command.elements = [body.element];
    });
    return ok({ added: outcome.number > 0 });
  });
}
