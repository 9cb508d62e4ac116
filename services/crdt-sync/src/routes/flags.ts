import { getFlag, voteForFlag } from '@memplane/contracts';
import { type FlagState, readFlag } from '@memplane/crdt';
import { ok, type Route, route } from '@memplane/runtime';
import { dispatch } from '../domain/dispatch.ts';
import type { Engine } from '../domain/engine.ts';
import { flagOf } from '../domain/replication/quorum-values.ts';
import { voterSetOf } from '../domain/voter-set.ts';
import type { Consistency } from './consistency.ts';

export interface FlagParts {
  readonly engine: Engine;
  readonly replicaSet: readonly string[];
}

export function flagRoutes({ engine, replicaSet }: FlagParts, consistency: Consistency) {
  const set = voterSetOf(replicaSet);
  const shown = (state: FlagState) => {
    const { isUp: value, votes } = readFlag(state, set);
    return { value, votes, of: set.voters.size };
  };
  const vote = route(voteForFlag, async ({ tenant, params, query }) => {
    const ref = { tenant, name: params.name };
    const done = await dispatch(engine, 'flag-vote', ref, (command) => {
      command.version = set.version;
    });
    const more = await consistency.written(query, done);
    return ok({ ...shown(done.outcome.value as FlagState), ...more });
  });
  const get = route(getFlag, ({ tenant, params, query, signal }) => {
    const ref = { tenant, name: params.name };
    return consistency.answer(query, signal, {
      local: async () => {
        const { outcome } = await dispatch(engine, 'flag-get', ref);
        return shown(outcome.value as FlagState);
      },
      quorum: { ref, of: (state) => shown(flagOf(state, ref)) },
    });
  });
  return [vote, get] satisfies Route[];
}
