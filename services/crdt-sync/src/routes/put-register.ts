import { MemplaneError, putRegister, REGISTER_VALUE_BYTES_MAX } from '@memplane/contracts';
import type { Json } from '@memplane/crdt';
import { ok, route } from '@memplane/runtime';
import { dispatch } from '../domain/dispatch.ts';
import type { Engine } from '../domain/engine.ts';
import type { Consistency } from './consistency.ts';
import { showVersion } from './get-register.ts';

export function putRegisterRoute(engine: Engine, consistency: Consistency) {
  return route(putRegister, async ({ tenant, params, query, body }) => {
    expectValueFits(body.value);
    const ref = { tenant, name: params.name };
    const done = await dispatch(engine, 'register-put', ref, (command) => {
      command.value = body.value as Json;
    });
    const shown = showVersion(done.outcome.value);
    return ok({ ...shown, ...(await consistency.written(query, done)) });
  });
}

/** @throws MemplaneError `body_too_large` */
export function expectValueFits(value: unknown): void {
  const bytes = Buffer.byteLength(JSON.stringify(value));
  if (bytes <= REGISTER_VALUE_BYTES_MAX) return;
  throw new MemplaneError(
    'body_too_large',
    `A register's value has at most ${REGISTER_VALUE_BYTES_MAX} bytes as JSON.`,
    { field: 'body.value', extra: { bytes } },
  );
}
