import { MemplaneError } from '@memplane/contracts';
import { ATTEMPTS_MAX } from './append-program.ts';
import {
  decodeHead,
  encodeHead,
  HEAD_LEASES_MAX,
  headKey,
  staleToken,
  startedHead,
  withLease,
} from './head.ts';
import {
  decodeLease,
  encodeLease,
  LEASE_MARGIN,
  type Lease,
  type LeaseRequest,
  leaseKey,
  NO_LEASE,
  nextLease,
} from './lease.ts';
import {
  type EntityName,
  get,
  isExpired,
  type Program,
  pauseBefore,
  viewSequence,
  write,
} from './program.ts';

export type Taken =
  | { readonly kind: 'granted'; readonly lease: Lease }
  /** Another one holds it; `version` changes with each renewal. */
  | { readonly kind: 'held'; readonly lease: Lease; readonly version: string };

/**
 * Takes a free lease, renews one's own, or takes over one whose record was seen unchanged for its
 * time, by writing on the very version that was seen. The heads of its entities are not raised yet.
 * @throws MemplaneError `stale_fencing_token`, `no_quorum`, what effects throw
 */
export function* takeProgram(tenant: string, request: LeaseRequest): Program<Taken> {
  const key = leaseKey(tenant, request.name);
  let isDoubtful = false;
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    yield* pauseBefore(attempt);
    const stored = yield* get(key);
    const lease = stored === undefined ? NO_LEASE : decodeLease(stored.value);
    if (isDoubtful && lease.nonce === request.nonce) return { kind: 'granted', lease };
    const next = nextLease(lease, request, yield* isOver(key, stored?.version, lease));
    if (next === undefined && stored) return { kind: 'held', lease, version: stored.version };
    if (next === undefined) throw new Error('a lease that nobody has made is held');
    const outcome = yield* write(key, encodeLease(next), stored?.version);
    if (outcome.kind === 'written') return { kind: 'granted', lease: next };
    isDoubtful = true;
  }
  throw notConfirmed('lease');
}

function* isOver(key: string, version: string | undefined, lease: Lease): Program<boolean> {
  if (version === undefined || lease.holder === null) return true;
  return yield* isExpired(key, version, lease.ttlMs * LEASE_MARGIN);
}

/**
 * Raises the head of an entity to a token. Once this is done no lower one gets in.
 * @throws MemplaneError `stale_fencing_token` when the head has a higher one already
 */
export function* raiseProgram(
  of: EntityName,
  zones: number,
  name: string,
  token: number,
): Program<void> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    yield* pauseBefore(attempt);
    const stored = yield* get(headKey(of));
    const head =
      stored === undefined ? startedHead(yield* viewSequence(of), zones) : decodeHead(stored.value);
    const known = head.leases.find((lease) => lease.name === name);
    if (known !== undefined && known.token > token) throw staleToken(name, token, known.token);
    if (known?.token === token && known.guards) return;
    const next = withLease(head, name, token, true);
    if (next === undefined) throw tooManyLeases(of);
    const outcome = yield* write(headKey(of), encodeHead(next), stored?.version);
    if (outcome.kind === 'written') return;
  }
  throw notConfirmed('head');
}

/** Ends the guard of an entity by this token; a higher one keeps its own. */
export function* endGuardProgram(of: EntityName, name: string, token: number): Program<void> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    yield* pauseBefore(attempt);
    const stored = yield* get(headKey(of));
    if (stored === undefined) return;
    const head = decodeHead(stored.value);
    const known = head.leases.find((lease) => lease.name === name);
    if (known === undefined || known.token !== token || !known.guards) return;
    const next = withLease(head, name, token, false) ?? head;
    const outcome = yield* write(headKey(of), encodeHead(next), stored.version);
    if (outcome.kind === 'written') return;
  }
  throw notConfirmed('head');
}

/** Who releases a lease: by token, by holder, or by both. */
export interface Releaser {
  readonly holder?: string | undefined;
  readonly fencingToken?: number | undefined;
}

/**
 * Frees a lease. Its record goes first: whoever takes it next, the same holder too, gets a higher token,
 * so that what comes late of this release ends no guard but its own.
 * @returns the token and the entities whose guards are to end now; none when that has happened
 * @throws MemplaneError `not_found`, `stale_fencing_token`, `lease_held`
 */
export function* freeProgram(
  tenant: string,
  name: string,
  { holder, fencingToken }: Releaser,
  nonce: string,
): Program<Lease> {
  const key = leaseKey(tenant, name);
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    yield* pauseBefore(attempt);
    const stored = yield* get(key);
    if (stored === undefined) {
      throw new MemplaneError('not_found', `Nobody ever held ${name}.`, { field: 'path.name' });
    }
    const lease = decodeLease(stored.value);
    if (fencingToken !== undefined && fencingToken !== lease.token) {
      throw staleToken(name, fencingToken, lease.token);
    }
    if (lease.holder === null) return lease;
    if (holder !== undefined && holder !== lease.holder) throw heldByAnother(name);
    const free: Lease = { ...lease, holder: null, nonce };
    const outcome = yield* write(key, encodeLease(free), stored.version);
    if (outcome.kind === 'written') return free;
  }
  throw notConfirmed('lease');
}

/** The guards of a freed lease have ended: the next holder has nothing to do with its entities. */
export function* forgetEntitiesProgram(tenant: string, name: string, token: number): Program<void> {
  const key = leaseKey(tenant, name);
  const stored = yield* get(key);
  if (stored === undefined) return;
  const lease = decodeLease(stored.value);
  if (lease.token !== token || lease.holder !== null || lease.entities.length === 0) return;
  // Where this fails, the next holder guards them too until it releases: nothing is lost.
  yield* write(key, encodeLease({ ...lease, entities: [] }), stored.version);
}

function heldByAnother(name: string): MemplaneError {
  return new MemplaneError('lease_held', `${name} is held by another.`, { field: 'query.holder' });
}

function notConfirmed(what: string): MemplaneError {
  return new MemplaneError('no_quorum', `The ${what} was not confirmed; ask again.`, {
    retryAfterMs: 500,
  });
}

function tooManyLeases({ entity }: EntityName): MemplaneError {
  return new MemplaneError(
    'invalid_request',
    `body.entities: ${entity} is guarded by ${HEAD_LEASES_MAX} other leases.`,
    { field: 'body.entities', extra: { limit: HEAD_LEASES_MAX, entity } },
  );
}
