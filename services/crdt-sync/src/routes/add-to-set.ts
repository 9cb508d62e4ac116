import { addToSet } from '@memplane/contracts';
import { ok, route } from '@memplane/runtime';
import { dispatch } from '../domain/dispatch.ts';
import type { Engine } from '../domain/engine.ts';
import type { Consistency } from './consistency.ts';

export function addToSetRoute(engine: Engine, consistency: Consistency) {
  return route(addToSet, async ({ tenant, params, query, body }) => {
    const ref = { tenant, name: params.name };
    const done = await dispatch(engine, 'set-add', ref, (command) => {
      command.elements = [body.element];
    });
    const added = done.outcome.number > 0;
    return ok({ added, ...(await consistency.written(query, done)) });
  });
}
