import { incrementCounter } from '@memplane/contracts';
import { ok, route } from '@memplane/runtime';
import { dispatch } from '../domain/dispatch.ts';
import type { Engine } from '../domain/engine.ts';
import type { Consistency } from './consistency.ts';

export function incrementCounterRoute(engine: Engine, consistency: Consistency) {
  return route(incrementCounter, async ({ tenant, params, query, body }) => {
    const ref = { tenant, name: params.name };
    const done = await dispatch(engine, 'increment', ref, (command) => {
      command.by = body.by;
      command.opId = body.opId;
      command.kind = body.kind;
    });
    const { number: value, flag } = done.outcome;
    const more = await consistency.written(query, done);
    return ok({ value, ...(flag ? { duplicate: true } : {}), ...more });
  });
}
