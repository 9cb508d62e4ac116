import { createCipheriv, createDecipheriv, hash, type KeyObject } from 'node:crypto';
import type { DropReason } from '../metrics.ts';
import type { Random } from '../ports.ts';
import type { KeyRing } from './key-ring.ts';

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** The first byte tells the two forms apart, and a later third one from both. */
const SEALED = 0xa1;
const PLAIN = 0xb1;
const CLUSTER_HASH_BYTES = 8;

export type Opened =
  | { readonly ok: true; readonly bytes: Uint8Array }
  | { readonly ok: false; readonly reason: DropReason };

/**
 * Closes and opens what travels. With keys: AES-256-GCM with a random 96-bit nonce, and the name of
 * the cluster as associated data, so that what another cluster sent opens here under no key.
 * Without keys: a hash of that name in front, against mix-ups only; nothing protects against an
 * attacker.
 */
export class Sealer {
  readonly #associated: Buffer;
  readonly #clusterHash: Uint8Array;
  readonly #keyRing: KeyRing | undefined;
  readonly #random: Random;

  constructor(cluster: string, keyRing: KeyRing | undefined, random: Random) {
    this.#associated = Buffer.concat([Buffer.from([SEALED]), Buffer.from(cluster)]);
    this.#clusterHash = hash('sha256', cluster, 'buffer').subarray(0, CLUSTER_HASH_BYTES);
    this.#keyRing = keyRing;
    this.#random = random;
  }

  /** What sealing adds, in bytes. */
  get overheadBytes(): number {
    return this.#keyRing === undefined ? 1 + CLUSTER_HASH_BYTES : 1 + NONCE_BYTES + TAG_BYTES;
  }

  seal(bytes: Uint8Array): Uint8Array {
    if (this.#keyRing === undefined) {
      return Buffer.concat([Buffer.from([PLAIN]), this.#clusterHash, bytes]);
    }
    const nonce = this.#random.bytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.#keyRing.primary, nonce, {
      authTagLength: TAG_BYTES,
    });
    cipher.setAAD(this.#associated);
    const sealed = cipher.update(bytes);
    cipher.final();
    return Buffer.concat([Buffer.from([SEALED]), nonce, sealed, cipher.getAuthTag()]);
  }

  /** Never throws. */
  open(bytes: Uint8Array): Opened {
    if (bytes.length === 0) return { ok: false, reason: 'empty' };
    if (bytes[0] === SEALED) return this.#openSealed(bytes);
    if (bytes[0] !== PLAIN) return { ok: false, reason: 'malformed' };
    if (this.#keyRing !== undefined) return { ok: false, reason: 'plain_refused' };
    if (bytes.length < this.overheadBytes) return { ok: false, reason: 'malformed' };
    const name = bytes.subarray(1, this.overheadBytes);
    if (Buffer.compare(name, this.#clusterHash) !== 0)
      return { ok: false, reason: 'other_cluster' };
    return { ok: true, bytes: bytes.subarray(this.overheadBytes) };
  }

  #openSealed(bytes: Uint8Array): Opened {
    if (this.#keyRing === undefined) return { ok: false, reason: 'no_key' };
    if (bytes.length < this.overheadBytes) return { ok: false, reason: 'malformed' };
    for (const key of this.#keyRing.keys) {
      const opened = this.#tryKey(key, bytes);
      if (opened !== undefined) return { ok: true, bytes: opened };
    }
    return { ok: false, reason: 'unauthentic' };
  }

  #tryKey(key: KeyObject, bytes: Uint8Array): Uint8Array | undefined {
    const decipher = createDecipheriv(CIPHER, key, bytes.subarray(1, 1 + NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(this.#associated);
    decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
    const opened = decipher.update(bytes.subarray(1 + NONCE_BYTES, bytes.length - TAG_BYTES));
    try {
      decipher.final();
    } catch {
      return undefined;
    }
    return opened;
  }
}
