import { hash } from 'node:crypto';
import type { VoterSet } from '@memplane/crdt';

const VERSION_DIGITS = 12;

/**
 * The replica set as a set of voters. Votes count under the version of the set that their voter knew,
 * and one version has to be one set everywhere, also where replicas are told the set by their settings
 * and nobody counts versions up. So the version is a number that follows from the ids, whatever their
 * order: 48 bits of a hash. A flag is down under a new set until a majority of that has voted, and a
 * set that comes back has its votes of before.
 */
export function voterSetOf(replicaSet: readonly string[]): VoterSet {
  const ids = [...new Set(replicaSet)].sort();
  const digits = hash('sha256', ids.join('\n'), 'hex').slice(0, VERSION_DIGITS);
  return { version: Number.parseInt(digits, 16) + 1, voters: new Set(ids) };
}
