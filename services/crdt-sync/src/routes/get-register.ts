import { formatHlc } from '@memplane/clock';
import { getRegister, MemplaneError } from '@memplane/contracts';
import type { RegisterVersion } from '@memplane/crdt';
import { route } from '@memplane/runtime';
import { dispatch } from '../domain/dispatch.ts';
import type { Engine } from '../domain/engine.ts';
import { registerOf } from '../domain/replication/quorum-values.ts';
import type { Consistency } from './consistency.ts';

export function getRegisterRoute(engine: Engine, consistency: Consistency) {
  return route(getRegister, ({ tenant, params, query, signal }) => {
    const ref = { tenant, name: params.name };
    return consistency.answer(query, signal, {
      local: async () => {
        const { outcome } = await dispatch(engine, 'register-get', ref);
        if (outcome.value !== undefined) return showVersion(outcome.value);
        throw new MemplaneError('not_found', 'Nothing is written there.', { field: 'path.name' });
      },
      quorum: { ref, of: (state) => showVersion(registerOf(state, ref)) },
    });
  });
}

export function showVersion(version: unknown): object {
  const { value, hlc, replica } = version as RegisterVersion;
  return { value, hlc: formatHlc(hlc), replica };
}
