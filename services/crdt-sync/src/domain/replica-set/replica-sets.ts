import { MemplaneError } from '@memplane/contracts';
import type { ReplicaSet } from './replica-set.ts';

/** The replica set as this replica knows it: never a later one than there is. */
export interface ReplicaSets {
  /** Undefined: not known yet. It never goes back. */
  readonly current: ReplicaSet | undefined;
  /** What is shown, and expected, until it is known. */
  readonly shown: ReplicaSet;
  /** Whether all go by what was set for them, and nothing has to be agreed on. */
  readonly isFixed: boolean;
  /** Members of the new set that a change waits for; none: it is settled. */
  readonly unconfirmed: readonly string[];
  /** Looks again. @throws MemplaneError what the strong store throws */
  refresh(): Promise<void>;
  /** Makes a replica count for quorums. @throws MemplaneError */
  add(id: string): Promise<void>;
  /** Makes it count no more; does nothing where it does not. @throws MemplaneError */
  remove(id: string): Promise<void>;
}

/** The set that this replica's settings name: there is no strong store that all share. */
export class FixedReplicaSet implements ReplicaSets {
  readonly current: ReplicaSet;
  readonly isFixed = true;
  readonly unconfirmed = [];

  constructor(replicas: readonly string[]) {
    this.current = { version: 0, replicas };
  }

  get shown(): ReplicaSet {
    return this.current;
  }

  async refresh(): Promise<void> {}

  async add(): Promise<void> {
    throw fixedHere();
  }

  async remove(id: string): Promise<void> {
    if (this.current.replicas.includes(id)) throw fixedHere();
  }
}

function fixedHere(): MemplaneError {
  return new MemplaneError(
    'not_implemented',
    'The replica set is what MEMPLANE_REPLICA_SET says: there is no strong store here that all ' +
      'replicas share. Change that setting at all of them.',
  );
}

/**
 * Does something for a version, which this replica goes by before and after: one that is behind looks
 * first. What is done for a later one begins after all that was done for this.
 * @throws MemplaneError as {@link stillAt}, and what the strong store and `act` throw
 */
export async function answerFor<T>(
  sets: ReplicaSets,
  version: number,
  act: () => T | Promise<T>,
): Promise<T> {
  if ((sets.current?.version ?? -1) < version) await sets.refresh();
  stillAt(sets, version);
  const done = await act();
  stillAt(sets, version);
  return done;
}

/**
 * @throws MemplaneError `no_quorum` where this replica goes by another version, `not_implemented` where
 * it goes by none that others could know
 */
export function stillAt({ current, isFixed }: ReplicaSets, version: number): void {
  if (current?.version === version) return;
  if (isFixed) throw fixedHere();
  const words = current === undefined ? 'no version yet' : `version ${current.version}`;
  throw new MemplaneError('no_quorum', `This replica goes by ${words} of the replica set.`, {
    retryAfterMs: 1_000,
  });
}
