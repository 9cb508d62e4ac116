import { createHash, timingSafeEqual } from 'node:crypto';
import type { Identity } from './identity.ts';
import type { StaticTokenSettings } from './tenants-file.ts';

interface Entry {
  readonly digest: Buffer;
  readonly identity: Identity;
}

const NOBODY = Buffer.alloc(32);

/** Tokens of which only the digests are kept. */
export class StaticTokens {
  /** By the digest: what a look-up's time tells of a digest tells nothing of a token. */
  readonly #entries = new Map<string, Entry>();
  /** Milliseconds since 1970. */
  readonly #now: () => number;

  constructor(tokens: readonly StaticTokenSettings[], now: () => number) {
    this.#now = now;
    for (const { name, sha256, tenant, roles, expires } of tokens) {
      const digest = Buffer.from(sha256, 'hex');
      const identity: Identity = {
        tenant,
        roles: new Set(roles),
        subject: `token:${name}`,
        isPlane: false,
        ...(expires === undefined ? {} : { expiresMs: Date.parse(expires) }),
      };
      this.#entries.set(digest.toString('latin1'), { digest, identity });
    }
  }

  find(token: string): Identity | undefined {
    const digest = createHash('sha256').update(token).digest();
    const entry = this.#entries.get(digest.toString('latin1'));
    if (!timingSafeEqual(digest, entry?.digest ?? NOBODY) || entry === undefined) return undefined;
    const { identity } = entry;
    return this.#now() < (identity.expiresMs ?? Number.POSITIVE_INFINITY) ? identity : undefined;
  }
}
