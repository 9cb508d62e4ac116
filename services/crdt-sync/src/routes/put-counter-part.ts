import { MemplaneError, putCounterPart } from '@memplane/contracts';
import { ok, route, TokenCheck } from '@memplane/runtime';
import type { Engine } from '../domain/engine.ts';
import { dispatch } from './dispatch.ts';

/** @param operatorToken without it nobody may move a counter to another log */
export function putCounterPartRoute(engine: Engine, operatorToken: string | undefined) {
  const check = operatorToken === undefined ? undefined : new TokenCheck(operatorToken);
  return route(putCounterPart, async ({ tenant, params, query, body, headers }) => {
    if (query.replaceLog) {
      const given = headers['memplane-operator-token'];
      if (check === undefined || typeof given !== 'string' || !check.matches(given)) {
        throw new MemplaneError(
          'forbidden',
          'Only an operator may move a counter to another log.',
          {
            field: 'query.replaceLog',
          },
        );
      }
    }
    const ref = { tenant, name: params.name };
    const { outcome } = await dispatch(engine, 'part-put', ref, (command) => {
      command.part = { ...body, partition: params.partition, replaceLog: query.replaceLog };
    });
    return ok({ value: outcome.number, applied: outcome.flag });
  });
}
