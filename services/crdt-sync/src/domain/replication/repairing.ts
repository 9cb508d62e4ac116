import type { ReplicaDelta } from '@memplane/crdt';
import { deltaKeyOf } from '../delta-key.ts';
import { dispatch } from '../dispatch.ts';
import type { Engine } from '../engine.ts';
import type { KeptType, Ref } from '../port.ts';
import type { CommitVector } from '../session-token.ts';
import type { LargeCalls } from './large-calls.ts';
import { METHODS } from './methods.ts';
import { decodeShown } from './shown-states.ts';
import { decodeStates } from './states.ts';

export interface RepairingOptions {
  readonly engine: Engine;
  readonly calls: LargeCalls;
  readonly live: () => readonly string[];
  readonly expect: (theirs: CommitVector) => void;
  /** Durable when it resolves. */
  readonly joinAll: (delta: ReplicaDelta) => Promise<void>;
}

const HELD: Readonly<Record<KeptType, keyof ReplicaDelta>> = {
  counter: 'counters',
  set: 'sets',
  register: 'registers',
  flag: 'flags',
  map: 'maps',
};

/**
 * Puts the join of what the others have in the place of what is damaged here under a name. They are
 * asked first: where none has it, it stays, for an operator to look at. What only this replica had of
 * it is lost. The vector here says that all commits are here, also those that none of the others has
 * at the moment: the next reconciliation with whoever has such a one finds the value different.
 * @param types those that are damaged
 * @returns the replicas that had them; none where it stays
 * @throws MemplaneError where dropping or joining fails; the value is then taken over as one that is
 * missing, by the next reconciliation
 */
export async function repair(
  ref: Ref,
  types: readonly KeptType[],
  options: RepairingOptions,
): Promise<string[]> {
  const { calls, engine, expect, joinAll, live } = options;
  const key = deltaKeyOf(ref);
  const asked = live().map(async (id) => {
    const { bytes } = await calls.call(id, METHODS.read, Buffer.from(key));
    const { shown, states } = decodeShown(bytes);
    return { id, shown, delta: decodeStates(states) };
  });
  const answers = (await Promise.allSettled(asked)).flatMap((answer) =>
    answer.status === 'fulfilled' ? [answer.value] : [],
  );
  const isElsewhere = (type: KeptType) => answers.some(({ delta }) => delta[HELD[type]].has(key));
  if (!types.every(isElsewhere)) return [];
  for (const type of types) {
    await dispatch(engine, 'discard', ref, (command) => {
      command.discards = type;
    });
  }
  for (const { shown, delta } of answers) {
    expect(shown);
    await joinAll(delta);
  }
  return answers.map(({ id }) => id).sort();
}
