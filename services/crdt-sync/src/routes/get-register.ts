import { formatHlc } from '@memplane/clock';
import { getRegister, MemplaneError } from '@memplane/contracts';
import type { RegisterVersion } from '@memplane/crdt';
import { ok, route } from '@memplane/runtime';
import type { Engine } from '../domain/engine.ts';
import { dispatch } from './dispatch.ts';

export function getRegisterRoute(engine: Engine) {
  return route(getRegister, async ({ tenant, params }) => {
    const { outcome } = await dispatch(engine, 'register-get', { tenant, name: params.name });
    if (outcome.value === undefined) {
      throw new MemplaneError('not_found', 'Nothing is written there.', { field: 'path.name' });
    }
    return ok(showVersion(outcome.value));
  });
}

export function showVersion(version: unknown): unknown {
  const { value, hlc, replica } = version as RegisterVersion;
  return { value, hlc: formatHlc(hlc), replica };
}
