import { getFlag, MemplaneError, voteForFlag } from '@memplane/contracts';
import { type FlagState, readFlag, type VoterSet } from '@memplane/crdt';
import { ok, type Route, route } from '@memplane/runtime';
import { dispatch } from '../domain/dispatch.ts';
import type { Engine } from '../domain/engine.ts';
import type { ReplicaSets } from '../domain/replica-set/replica-sets.ts';
import { flagOf } from '../domain/replication/quorum-values.ts';
import { voterSetOf } from '../domain/voter-set.ts';
import type { Consistency } from './consistency.ts';

export interface FlagParts {
  readonly engine: Engine;
  readonly sets: ReplicaSets;
}

export function flagRoutes({ engine, sets }: FlagParts, consistency: Consistency) {
  const shown = (state: FlagState, set: VoterSet) => {
    const { isUp: value, votes } = readFlag(state, set);
    return { value, votes, of: set.voters.size };
  };
  const vote = route(voteForFlag, async ({ tenant, params, query }) => {
    const ref = { tenant, name: params.name };
    const set = votersOf(sets);
    const done = await dispatch(engine, 'flag-vote', ref, (command) => {
      command.version = set.version;
    });
    const more = await consistency.written(query, done);
    return ok({ ...shown(done.outcome.value as FlagState, set), ...more });
  });
  const get = route(getFlag, ({ tenant, params, query, signal }) => {
    const ref = { tenant, name: params.name };
    return consistency.answer(query, signal, {
      local: async () => {
        const { outcome } = await dispatch(engine, 'flag-get', ref);
        return shown(outcome.value as FlagState, votersOf(sets));
      },
      quorum: { ref, of: (state) => shown(flagOf(state, ref), votersOf(sets)) },
    });
  });
  return [vote, get] satisfies Route[];
}

/** @throws MemplaneError `no_quorum`: a vote for a set that is guessed would be there for good */
function votersOf({ current }: ReplicaSets): VoterSet {
  if (current !== undefined) return voterSetOf(current.replicas);
  throw new MemplaneError('no_quorum', 'The replica set is not known here yet.', {
    retryAfterMs: 1_000,
  });
}
