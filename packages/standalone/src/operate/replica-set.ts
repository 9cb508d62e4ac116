import { setTimeout as pause } from 'node:timers/promises';
import type { ReplicaMembers, ReplicaSet } from '@memplane/client';
import { CommandError, EXIT } from '../output/exit-codes.ts';
import type { PlaneHttp } from './plane-http.ts';

export interface SetChangeOptions {
  readonly plane: PlaneHttp;
  readonly operatorToken: string;
  /** How long a change may take to settle. */
  readonly waitMs: number;
}

const POLL_MS = 200;

export function inWords({ known, replicas, settled, unconfirmed, version }: ReplicaSet): string {
  if (!known) return 'the replica set is not known there yet: nothing has a quorum';
  const state = settled
    ? 'settled'
    : `not settled: ${unconfirmed.join(', ')} did not confirm it yet`;
  const which = version === 0 ? 'by the settings' : `version ${version}, ${state}`;
  return `replica set (${which}): ${replicas.join(', ')}`;
}

/** @returns the set once the change is settled @throws MemplaneError, CommandError (unavailable) */
export function addToSet(id: string, options: SetChangeOptions): Promise<ReplicaSet> {
  return change('PUT', id, options);
}

/** @returns as {@link addToSet} */
export function removeFromSet(id: string, options: SetChangeOptions): Promise<ReplicaSet> {
  return change('DELETE', id, options);
}

/**
 * Two changes, the new one first: in between both count. After a break it is repeated from the start.
 * @returns as {@link addToSet}
 */
export async function replaceInSet(
  gone: string,
  added: string,
  options: SetChangeOptions,
): Promise<ReplicaSet> {
  await addToSet(added, options);
  return removeFromSet(gone, options);
}

async function change(
  method: 'PUT' | 'DELETE',
  id: string,
  { operatorToken, plane, waitMs }: SetChangeOptions,
): Promise<ReplicaSet> {
  const path = `/v1/replica-set/${encodeURIComponent(id)}`;
  const headers = { 'memplane-operator-token': operatorToken };
  let set = await plane.json<ReplicaSet>('crdt-sync', path, { method, headers });
  const untilMs = performance.now() + waitMs;
  while (!set.settled) {
    if (performance.now() > untilMs) {
      throw new CommandError(
        `The change is made, and not settled yet: ${set.unconfirmed.join(', ')} did not confirm it. ` +
          '`memplane members` shows when it is.',
        EXIT.unavailable,
      );
    }
    await pause(POLL_MS);
    const { replicaSet } = await plane.json<ReplicaMembers>('crdt-sync', '/v1/members');
    set = replicaSet ?? set;
  }
  return set;
}
