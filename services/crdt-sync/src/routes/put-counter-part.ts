import { putCounterPart } from '@memplane/contracts';
import { ok, route } from '@memplane/runtime';
import { dispatch } from '../domain/dispatch.ts';
import type { Engine } from '../domain/engine.ts';
import type { OperatorCheck } from './operator-check.ts';

export function putCounterPartRoute(engine: Engine, operator: OperatorCheck) {
  return route(putCounterPart, async ({ tenant, params, query, body, headers }) => {
    if (query.replaceLog) {
      const words = 'Only an operator may move a counter to another log.';
      operator.require(headers, words, 'query.replaceLog');
    }
    const ref = { tenant, name: params.name };
    const { outcome } = await dispatch(engine, 'part-put', ref, (command) => {
      command.part = { ...body, partition: params.partition, replaceLog: query.replaceLog };
    });
    return ok({ value: outcome.number, applied: outcome.flag });
  });
}
