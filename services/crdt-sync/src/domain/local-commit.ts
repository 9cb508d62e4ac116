import { type Incarnation, type ReplicaDelta, replicaDeltaLattice } from '@memplane/crdt';
import { deltaKeyOf } from './delta-key.ts';
import type { Change } from './port.ts';

/** What a replica has changed by itself in one commit, and what it takes to tell the others. */
export interface LocalCommit {
  readonly incarnation: Incarnation;
  /** Counts up from 1 within the incarnation, without gaps. */
  readonly number: number;
  /** The clock's last stamp. */
  readonly hlc: bigint;
  readonly delta: ReplicaDelta;
}

/** Shares its parts with the changes. */
export function deltaOfChanges(changes: readonly Change[]): ReplicaDelta {
  const delta = replicaDeltaLattice.bottom();
  for (const change of changes) {
    const key = deltaKeyOf(change.ref);
    if (change.type === 'set') delta.sets.set(key, change.delta);
    else if (change.type === 'register') delta.registers.set(key, change.delta);
    else if (change.type === 'flag') delta.flags.set(key, change.delta);
    else if (change.type === 'map') delta.maps.set(key, change.delta);
    else delta.counters.set(key, change.delta);
  }
  return delta;
}
