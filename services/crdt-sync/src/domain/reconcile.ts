import { addDigests, formatDigest, recordDigest } from '@memplane/crdt';
import type { KeptType, VerifiedValue } from './port.ts';

/** Differences that a report lists, of each kind; more are counted. */
export const DIFFERENCES_MAX = 100;

export interface Reconciled {
  readonly values: Record<KeptType, number>;
  readonly digest: string;
  readonly differences: VerifiedValue[];
  readonly more: number;
}

/** Counts values, sums their digests, and lists those that do not have the digest they should. */
export async function reconcile(
  found: AsyncIterable<VerifiedValue>,
  signal: AbortSignal,
): Promise<Reconciled> {
  const values: Record<KeptType, number> = { counter: 0, set: 0, register: 0, flag: 0, map: 0 };
  const differences: VerifiedValue[] = [];
  let more = 0;
  let digest = 0n;
  for await (const value of found) {
    signal.throwIfAborted();
    const { tenant, type, name, stored, computed } = value;
    values[type]++;
    const record = Buffer.from(`${tenant}\0${type}\0${name}\0${computed}`);
    digest = addDigests(digest, recordDigest(record));
    if (stored === computed) continue;
    if (differences.length < DIFFERENCES_MAX) {
      differences.push({ tenant, type, name, stored, computed });
    } else more++;
  }
  return { values, digest: formatDigest(digest), differences, more };
}
