import { createSecretKey, type KeyObject } from 'node:crypto';
import { MemplaneError } from '@memplane/contracts';

export const KEY_BYTES = 32;
/** Each packet that no key opens costs one attempt a key. */
export const KEYS_MAX = 8;

/**
 * The keys of a cluster: the first encrypts, any of them decrypts. A key is rotated without a gap
 * in three rounds, each finished on all members before the next: `install` and `use` the new one,
 * `remove` the old.
 *
 * Nonces are random, so one key should encrypt no more than 2^32 packets (NIST SP 800-38D, §8.3),
 * counted over all members: a hundred members that send 20 a second each reach that in 24 days.
 */
export class KeyRing {
  #keys: readonly KeyObject[];

  /** @throws MemplaneError `invalid_request` for no key, too many, or one of a wrong length. */
  constructor(keys: readonly Uint8Array[]) {
    if (keys.length < 1 || keys.length > KEYS_MAX) {
      throw refusal(`A key ring has 1 to ${KEYS_MAX} keys`);
    }
    this.#keys = keys.map(keyOf);
  }

  /** The keys, the one that encrypts first. */
  get keys(): readonly KeyObject[] {
    return this.#keys;
  }

  get primary(): KeyObject {
    const [first] = this.#keys;
    if (first === undefined) throw refusal('The key ring is empty');
    return first;
  }

  /** Adds a key that decrypts; one that is there already changes nothing. */
  install(key: Uint8Array): void {
    const added = keyOf(key);
    if (this.#has(added)) return;
    if (this.#keys.length >= KEYS_MAX) throw refusal(`A key ring has at most ${KEYS_MAX} keys`);
    this.#keys = [...this.#keys, added];
  }

  /** Makes an installed key the one that encrypts. */
  use(key: Uint8Array): void {
    const chosen = keyOf(key);
    if (!this.#has(chosen)) throw refusal('The key is not installed');
    this.#keys = [chosen, ...this.#keys.filter((other) => !other.equals(chosen))];
  }

  /** Takes a key away; the one that encrypts has to be replaced first. */
  remove(key: Uint8Array): void {
    const gone = keyOf(key);
    if (gone.equals(this.primary)) throw refusal('The key that encrypts can not be removed');
    this.#keys = this.#keys.filter((other) => !other.equals(gone));
  }

  #has(key: KeyObject): boolean {
    return this.#keys.some((other) => other.equals(key));
  }
}

function keyOf(bytes: Uint8Array): KeyObject {
  if (bytes.length !== KEY_BYTES) throw refusal(`A key has ${KEY_BYTES} bytes`);
  return createSecretKey(bytes);
}

function refusal(detail: string): MemplaneError {
  return new MemplaneError('invalid_request', detail, { field: 'keys' });
}
