import { removeFromSet } from '@memplane/contracts';
import { ok, route } from '@memplane/runtime';
import { dispatch } from '../domain/dispatch.ts';
import type { Engine } from '../domain/engine.ts';
import type { Consistency } from './consistency.ts';

export function removeFromSetRoute(engine: Engine, consistency: Consistency) {
  return route(removeFromSet, async ({ tenant, params, query, body }) => {
    const ref = { tenant, name: params.name };
    const done = await dispatch(engine, 'set-remove', ref, (command) => {
      command.elements = [body.element];
    });
    const removed = done.outcome.number > 0;
    return ok({ removed, ...(await consistency.written(query, done)) });
  });
}
