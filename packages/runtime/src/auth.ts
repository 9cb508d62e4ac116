import { createHash, timingSafeEqual } from 'node:crypto';

/** Longer than any token that is meant; the headers of a request may have 16 KiB in all. */
export const TOKEN_CHARS_MAX = 8192;
const BEARER_PATTERN = /^Bearer ([^\s]+)$/i;

/** The token of `Authorization: Bearer …`; undefined where there is none, or one that is too long. */
export function bearerOf(authorization: string | undefined): string | undefined {
  const token = BEARER_PATTERN.exec(authorization ?? '')?.[1];
  return token === undefined || token.length > TOKEN_CHARS_MAX ? undefined : token;
}

/** A constant-time check against one token. */
export class TokenCheck {
  readonly #digest: Buffer;

  constructor(token: string) {
    this.#digest = sha256(token);
  }

  /** Hashing first makes both sides equally long, and hides the length of the secret. */
  matches(token: string): boolean {
    return timingSafeEqual(sha256(token), this.#digest);
  }
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
