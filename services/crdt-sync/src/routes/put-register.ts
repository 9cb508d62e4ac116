import { MemplaneError, putRegister, REGISTER_VALUE_BYTES_MAX } from '@memplane/contracts';
import type { Json } from '@memplane/crdt';
import { ok, route } from '@memplane/runtime';
import type { Engine } from '../domain/engine.ts';
import { dispatch } from './dispatch.ts';
import { showVersion } from './get-register.ts';

export function putRegisterRoute(engine: Engine) {
  return route(putRegister, async ({ tenant, params, body }) => {
    const bytes = Buffer.byteLength(JSON.stringify(body.value));
    if (bytes > REGISTER_VALUE_BYTES_MAX) {
      throw new MemplaneError(
        'body_too_large',
        `A register's value has at most ${REGISTER_VALUE_BYTES_MAX} bytes as JSON.`,
        { field: 'body.value', extra: { bytes } },
      );
    }
    const ref = { tenant, name: params.name };
    const { outcome } = await dispatch(engine, 'register-put', ref, (command) => {
      command.value = body.value as Json;
    });
    return ok(showVersion(outcome.value));
  });
}
