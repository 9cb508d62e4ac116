import { MemplaneError } from '@memplane/contracts';
import { staleToken } from './head.ts';

/** How much longer than its time a lease must have been unchanged: clocks may run that far apart. */
export const LEASE_MARGIN = 1.01;
/** Entities whose heads a lease keeps, those of a holder that was gone included. */
export const LEASE_KEPT_ENTITIES_MAX = 256;

/** A lease. Its record is never deleted: tokens only rise. */
export interface Lease {
  /** The newest that was given out; 0: none. */
  readonly token: number;
  /** Null: free. */
  readonly holder: string | null;
  readonly ttlMs: number;
  /** Whose heads are, or are to be, raised to the token. */
  readonly entities: readonly string[];
  /** Of the call that wrote it. */
  readonly nonce: string;
}

export const NO_LEASE: Lease = { token: 0, holder: null, ttlMs: 0, entities: [], nonce: '' };

export function leaseKey(tenant: string, name: string): string {
  return `${tenant}.lease.${name}`;
}

const FORMAT_VERSION = 1;

export function encodeLease(lease: Lease): string {
  return JSON.stringify({ format: FORMAT_VERSION, ...lease });
}

/** @throws MemplaneError `storage_damaged` for another format */
export function decodeLease(text: string): Lease {
  const { format, ...lease } = JSON.parse(text) as Lease & { format: number };
  if (format === FORMAT_VERSION) return lease;
  throw new MemplaneError('storage_damaged', `A lease has format ${format}.`);
}

export interface LeaseRequest {
  readonly name: string;
  readonly holder: string;
  readonly ttlMs: number;
  /** Undefined: as before. */
  readonly entities?: readonly string[] | undefined;
  /** Given: only renews. */
  readonly fencingToken?: number | undefined;
  readonly nonce: string;
}

/**
 * What a request makes of a lease that is free, its own, or another's whose time is over.
 * @returns undefined when another one holds it
 * @throws MemplaneError `stale_fencing_token`, `invalid_request`
 */
export function nextLease(
  lease: Lease,
  request: LeaseRequest,
  isExpired: boolean,
): Lease | undefined {
  const { holder, ttlMs, nonce, fencingToken } = request;
  const isOwn = lease.holder === holder;
  if (fencingToken !== undefined && (!isOwn || lease.token !== fencingToken)) {
    throw staleToken(request.name, fencingToken, lease.token);
  }
  if (!isOwn && lease.holder !== null && !isExpired) return undefined;
  const entities = keptEntities(lease, request);
  const token = isOwn ? lease.token : lease.token + 1;
  return { token, holder, ttlMs, entities, nonce };
}

/** What a holder that is gone had guarded stays guarded, by the new token. */
function keptEntities(lease: Lease, { entities = [] }: LeaseRequest): readonly string[] {
  const kept = [...new Set([...lease.entities, ...entities])];
  if (kept.length <= LEASE_KEPT_ENTITIES_MAX) return kept;
  throw new MemplaneError(
    'invalid_request',
    `body.entities: with those that the lease guards already, at most ${LEASE_KEPT_ENTITIES_MAX}.`,
    { field: 'body.entities', extra: { limit: LEASE_KEPT_ENTITIES_MAX } },
  );
}
