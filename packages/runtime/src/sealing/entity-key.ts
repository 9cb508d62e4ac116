import { createSecretKey, type KeyObject } from 'node:crypto';

/** Of the secret: 32 bytes for AES-256, 32 for keyed digests. */
export const SECRET_BYTES = 64;
const AES_BYTES = 32;

export const KEY_ID_BYTES = 12;
/** A key id in base64url. */
export const KEY_ID_CHARS = 16;

/** What the payloads of one entity are sealed with, until the entity is erased. */
export interface EntityKey {
  readonly id: string;
  readonly aes: KeyObject;
  /** One byte a character (latin1); see `keyed`. */
  readonly digestKey: string;
}

/** @param secret {@link SECRET_BYTES} random bytes */
export function entityKey(id: string, secret: Buffer): EntityKey {
  if (id.length !== KEY_ID_CHARS || secret.length !== SECRET_BYTES) {
    throw new RangeError('a key of an entity has the wrong length');
  }
  const aes = createSecretKey(secret.subarray(0, AES_BYTES));
  return { id, aes, digestKey: secret.toString('base64url', AES_BYTES) };
}
