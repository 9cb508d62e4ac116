import type { StrongRecord } from '@memplane/runtime/strong';
import { decodeRecord, encodeRecord, ZONES_KEY, type ZoneRecord } from '../zones/zone-record.ts';
import { decodeHead, encodeHead } from './head.ts';
import { decodeLease, encodeLease } from './lease.ts';

/**
 * By how much fencing tokens rise when a plane is restored. No lease was given out that often since
 * the backup, so that whatever token is still around is stale.
 */
export const HEAD_TOKEN_LEAP = 2 ** 32;
/** More than those of heads: a head may have been exported later than its lease. */
export const LEASE_TOKEN_LEAP = 2 ** 33;

/** Below the version of any table: such a head starts anew from its view, and keeps its guards. */
const BEFORE_ALL_TABLES = -1;

/**
 * What a record of the strong store is in a plane that is restored, perhaps to an earlier time;
 * undefined: nothing. Leases are free, their tokens beyond all that were given out. Heads keep the
 * guards of their leases and nothing of the log, which says itself what was appended. The table of
 * zones stays; who was to confirm its change is gone.
 * @throws MemplaneError `storage_damaged` for another format
 */
export function restoredRecord({ key, value }: StrongRecord): StrongRecord | undefined {
  if (key === ZONES_KEY) {
    const table = decodeRecord<ZoneRecord>(value);
    return { key, value: encodeRecord({ ...table, change: undefined }) };
  }
  const [, kind] = key.split('.', 2);
  if (kind === 'lease') {
    const lease = decodeLease(value);
    const token = lease.token + LEASE_TOKEN_LEAP;
    return { key, value: encodeLease({ ...lease, token, holder: null, ttlMs: 0, nonce: '' }) };
  }
  if (kind !== 'head') return undefined;
  const leases = decodeHead(value).leases.map((lease) => ({
    ...lease,
    token: lease.token + HEAD_TOKEN_LEAP,
  }));
  const head = { sequence: 0, zones: BEFORE_ALL_TABLES, leases, recent: [] };
  return { key, value: encodeHead(head) };
}
