import { createPublicKey } from 'node:crypto';
import { MemplaneError, ROLES, type Role, TENANT_PATTERN } from '@memplane/contracts';
import { errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import type { Identity } from './identity.ts';
import { RemoteKeys } from './remote-keys.ts';
import { type IssuerSettings, mayNameTenant } from './tenants-file.ts';

export interface JwtIssuerParts {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Milliseconds on a clock that never goes back. */
  readonly monotonicMs: () => number;
  readonly onKeyFailure: (issuer: string, cause: unknown) => void;
}

/** Who issues JSON web tokens (RFC 7519), and what a token of theirs says of its holder. */
export class JwtIssuer {
  readonly #settings: IssuerSettings;
  readonly #now: () => number;
  readonly #keys: JWTVerifyGetKey;

  /** @throws Error for a public key that is none, or can not be used with the algorithms */
  constructor(settings: IssuerSettings, { now, monotonicMs, onKeyFailure }: JwtIssuerParts) {
    this.#settings = settings;
    this.#now = now;
    const { issuer, jwksUrl: url, publicKey } = settings;
    if (url !== undefined) {
      const onFailure = (cause: unknown) => onKeyFailure(issuer, cause);
      this.#keys = new RemoteKeys({ url, monotonicMs, onFailure }).find;
    } else {
      const key = createPublicKey(publicKey ?? '');
      this.#keys = async () => key;
    }
  }

  get issuer(): string {
    return this.#settings.issuer;
  }

  /** @throws MemplaneError `unauthorized`; `dependency_unavailable` where no key can be had */
  async verify(token: string): Promise<Identity> {
    const { issuer, audience, algorithms, clockToleranceSeconds } = this.#settings;
    let payload: JWTPayload;
    try {
      const verified = await jwtVerify(token, this.#keys, {
        issuer,
        audience,
        algorithms: [...algorithms],
        clockTolerance: clockToleranceSeconds,
        currentDate: new Date(this.#now()),
        requiredClaims: ['exp'],
      });
      payload = verified.payload;
    } catch (cause) {
      if (cause instanceof MemplaneError) throw cause;
      throw refused(wordsOf(cause), cause);
    }
    return this.#identityOf(payload);
  }

  #identityOf(payload: JWTPayload): Identity {
    const { issuer, tenantClaim, rolesClaim, rolesAllowed, clockToleranceSeconds } = this.#settings;
    const tenant = claimOf(payload, tenantClaim);
    if (typeof tenant !== 'string' || !TENANT_PATTERN.test(tenant)) {
      throw refused(`The token's claim ${tenantClaim} names no tenant.`);
    }
    if (!mayNameTenant(this.#settings, tenant)) {
      throw refused('The issuer of the token may not speak of its tenant.');
    }
    const allowed: ReadonlySet<Role> = new Set(rolesAllowed);
    const named = rolesOf(claimOf(payload, rolesClaim));
    const roles = new Set(ROLES.filter((role) => allowed.has(role) && named.has(role)));
    const subject = `${issuer}#${String(payload.sub ?? '').slice(0, 200)}`;
    const expiresMs = ((payload.exp ?? 0) + clockToleranceSeconds) * 1000;
    return { tenant, roles, subject, isPlane: false, expiresMs };
  }
}

/** A claim by its name, else by a path of names with dots between. */
function claimOf(payload: JWTPayload, name: string): unknown {
  if (Object.hasOwn(payload, name)) return payload[name];
  let value: unknown = payload;
  for (const step of name.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step))
      return undefined;
    value = (value as Record<string, unknown>)[step];
  }
  return value;
}

function rolesOf(claim: unknown): ReadonlySet<unknown> {
  if (typeof claim === 'string') return new Set(claim.split(' '));
  return new Set(Array.isArray(claim) ? claim : []);
}

/** What may be told: nothing of it helps to forge one. */
function wordsOf(cause: unknown): string {
  if (cause instanceof errors.JWTExpired) return 'The token has expired.';
  if (cause instanceof errors.JWTClaimValidationFailed) {
    return `The token's claim ${cause.claim} is not as it must be.`;
  }
  if (cause instanceof errors.JOSEAlgNotAllowed) return "The token's algorithm is not allowed.";
  if (cause instanceof errors.JWKSNoMatchingKey) return 'The token names a key that nobody knows.';
  return 'The token is not valid.';
}

function refused(words: string, cause?: unknown): MemplaneError {
  return new MemplaneError('unauthorized', words, cause === undefined ? {} : { cause });
}
