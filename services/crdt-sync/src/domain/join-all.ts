import type { MemplaneError } from '@memplane/contracts';
import type { CommitRange, ReplicaDelta } from '@memplane/crdt';
import type { Brought, Command } from './command.ts';
import { refOfDeltaKey } from './delta-key.ts';
import type { Engine } from './engine.ts';
import { joinCommand, type NamedDelta } from './named-delta.ts';
import type { Ref } from './port.ts';

/** Names that wait at once for one delta, so that it leaves room in the queue for others. */
const NAMES_AT_ONCE_MAX = 4_096;

/**
 * Joins what other replicas changed. Durable, all of it, when it resolves.
 * @param ranges the commits that the delta is of: that they are here is made durable with the last
 * of the joins. Else a crash that comes in between would leave what no vector
 * tells of, and whoever committed it may have lost it by then.
 * @throws MemplaneError the first that a name met; the others are joined or not.
 */
export async function joinAll(
  engine: Engine,
  delta: ReplicaDelta,
  ranges: readonly CommitRange[] = [],
): Promise<void> {
  const named = splitByName(delta);
  const brought: Brought = { ranges, isFailed: false };
  for (let at = 0; at < named.length; at += NAMES_AT_ONCE_MAX) {
    const end = at + NAMES_AT_ONCE_MAX;
    await joinSome(engine, named.slice(at, end), end >= named.length ? brought : undefined);
  }
}

/** Joins what another replica says of one name. Resolves, once durable, to whether anything grew. */
export function joinNamed(engine: Engine, ref: Ref, delta: NamedDelta): Promise<boolean> {
  return joinSome(engine, [[ref, delta]]);
}

/** Settles when nothing of it is under way any more. */
async function joinSome(
  engine: Engine,
  named: readonly (readonly [Ref, NamedDelta])[],
  brought?: Brought,
): Promise<boolean> {
  let grew = false;
  let failure: MemplaneError | undefined;
  const joins = named.map(([ref, delta]) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const settled = ({ error, outcome }: Command) => {
      failure ??= error;
      if (brought && error !== undefined) brought.isFailed = true;
      grew ||= outcome.flag;
      resolve();
    };
    return { promise, command: joinCommand(ref, delta, settled) };
  });
  const last = joins.at(-1)?.command;
  if (last !== undefined) last.brought = brought;
  const taken: Promise<void>[] = [];
  try {
    for (const { promise, command } of joins) {
      engine.submit(command);
      taken.push(promise);
    }
  } finally {
    await Promise.all(taken);
  }
  if (failure !== undefined) throw failure;
  return grew;
}

/** @throws MemplaneError `invalid_request` for a key that is no tenant and name */
function splitByName(delta: ReplicaDelta): [Ref, NamedDelta][] {
  const { counters, sets, registers, flags, maps } = delta;
  const all = [counters, sets, registers, flags, maps];
  const keys = new Set(all.flatMap((values) => [...values.keys()]));
  return [...keys].map((key) => {
    const named = {
      counter: counters.get(key),
      set: sets.get(key),
      register: registers.get(key),
      flag: flags.get(key),
      map: maps.get(key),
    };
    return [refOfDeltaKey(key), named];
  });
}
