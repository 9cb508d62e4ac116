import { decodeSessionToken, encodeSessionToken } from '@memplane/contracts';
import { MemplaneError } from './errors.ts';

/** Incarnations of replicas whose commits are remembered; the ones not heard of longest go first. */
const INCARNATIONS_MAX = 256;

/**
 * Remembers what this client has written to counters, sets and registers: of each incarnation of a
 * replica the highest commit.
 */
export class SessionKeeper {
  readonly #commits = new Map<string, number>();
  #token: string | undefined;

  observe(token: string): void {
    for (const [incarnation, commits] of read(token)) {
      const known = this.#commits.get(incarnation) ?? 0;
      this.#commits.delete(incarnation);
      this.#commits.set(incarnation, Math.max(known, commits));
    }
    for (const incarnation of this.#commits.keys()) {
      if (this.#commits.size <= INCARNATIONS_MAX) break;
      this.#commits.delete(incarnation);
    }
    this.#token = undefined;
  }

  get token(): string | undefined {
    if (this.#commits.size > 0) this.#token ??= encodeSessionToken(this.#commits);
    return this.#token;
  }

  forget(): void {
    this.#commits.clear();
    this.#token = undefined;
  }
}

function read(token: string): ReadonlyMap<string, number> {
  try {
    return decodeSessionToken(token);
  } catch (cause) {
    throw new MemplaneError('invalid_token', 'This is no token that a replica has given out.', {
      field: 'token',
      cause,
    });
  }
}
