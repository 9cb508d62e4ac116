import { incrementCounter } from '@memplane/contracts';
import { ok, route } from '@memplane/runtime';
import type { Engine } from '../domain/engine.ts';
import { dispatch } from './dispatch.ts';

export function incrementCounterRoute(engine: Engine) {
  return route(incrementCounter, async ({ tenant, params, body }) => {
    const { outcome } = await dispatch(
      engine,
      'increment',
      { tenant, name: params.name },
      (command) => {
        command.by = body.by;
        command.opId = body.opId;
        command.kind = body.kind;
      },
    );
    return ok({ value: outcome.number, ...(outcome.flag ? { duplicate: true } : {}) });
  });
}
