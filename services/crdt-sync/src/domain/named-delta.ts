import {
  type CounterState,
  deltaOfSet,
  type FlagState,
  type OrMapState,
  type OrSetState,
  type RegisterState,
  type SetDelta,
} from '@memplane/crdt';
import { Command } from './command.ts';
import type { Ref } from './port.ts';

/** What another replica says of one name: what changed, or all that it has. */
export interface NamedDelta {
  readonly counter?: CounterState | undefined;
  readonly set?: SetDelta | { readonly whole: OrSetState } | undefined;
  readonly register?: RegisterState | undefined;
  readonly flag?: FlagState | undefined;
  readonly map?: OrMapState | undefined;
}

/** Joins what another replica says. Its `outcome.flag` tells whether anything here grew. */
export function joinCommand(
  ref: Ref,
  delta: NamedDelta,
  settled: (command: Command) => void,
): Command {
  const { counter, register, flag, map } = delta;
  const set = delta.set && 'whole' in delta.set ? deltaOfSet(delta.set.whole) : delta.set;
  const command = new Command('join', ref.tenant, ref.name, settled);
  command.join = { counter, set, register, flag, map };
  if (set !== undefined) command.elements = [...set.patch.keys()];
  return command;
}
