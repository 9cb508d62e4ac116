import { createHash, timingSafeEqual } from 'node:crypto';

/** A constant-time check of `Authorization: Bearer …` against one token. */
export class TokenCheck {
  readonly #digest: Buffer;

  constructor(token: string) {
    this.#digest = sha256(token);
  }

  /** @param header the header's value */
  allows(header: string | undefined): boolean {
    const match = /^Bearer ([^\s]{1,4096})$/i.exec(header ?? '');
    return match?.[1] !== undefined && this.matches(match[1]);
  }

  /** Hashing first makes both sides equally long, and hides the length of the secret. */
  matches(token: string): boolean {
    return timingSafeEqual(sha256(token), this.#digest);
  }
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
