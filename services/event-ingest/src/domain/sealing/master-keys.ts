import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { MemplaneError } from '@memplane/contracts';

/** Bytes of a master key: AES-256. */
const MASTER_BYTES = 32;
const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
export const MASTER_KEYS_MAX = 16;

/** One line of a file of master keys: a name, and 32 bytes in base64. */
const LINE = /^([A-Za-z0-9._-]{1,64}):([A-Za-z0-9+/_-]{43}=?)$/;

/** A file of master keys is wrong; the message names the line and shows nothing of the keys. */
export class MasterKeysError extends Error {
  override readonly name = 'MasterKeysError';
}

/** A secret that is encrypted by a master key. */
export interface WrappedSecret {
  /** The name of the master key. */
  readonly master: string;
  /** Nonce, ciphertext and tag, in base64. */
  readonly wrapped: string;
}

/**
 * The keys that wrap the keys of entities: the first one wraps, all of them unwrap. So a new one is
 * put before the old one, which goes once nothing is wrapped by it any more.
 */
export class MasterKeys {
  readonly #keys: ReadonlyMap<string, Buffer>;
  /** The name of the one that wraps. */
  readonly current: string;

  private constructor(keys: ReadonlyMap<string, Buffer>, current: string) {
    this.#keys = keys;
    this.current = current;
  }

  /**
   * Reads `name:base64` lines; empty lines and those that begin with `#` are left out.
   * @throws MasterKeysError
   */
  static parse(text: string): MasterKeys {
    const keys = new Map<string, Buffer>();
    for (const [i, line] of text.split('\n').entries()) {
      if (line.trim() === '' || line.startsWith('#')) continue;
      const [, name, key] = LINE.exec(line.trim()) ?? [];
      const bytes = Buffer.from(key ?? '', 'base64');
      if (name === undefined || bytes.length !== MASTER_BYTES) {
        throw new MasterKeysError(`line ${i + 1} must be NAME:KEY, with 32 bytes in base64`);
      }
      if (keys.has(name)) throw new MasterKeysError(`line ${i + 1}: ${name} is there already`);
      keys.set(name, bytes);
    }
    const [current] = keys.keys();
    if (current === undefined) throw new MasterKeysError('there is no key');
    if (keys.size > MASTER_KEYS_MAX) throw new MasterKeysError(`more than ${MASTER_KEYS_MAX} keys`);
    return new MasterKeys(keys, current);
  }

  /** @param of names what the secret is for; it can be unwrapped for that alone */
  wrap(secret: Buffer, of: string): WrappedSecret {
    const key = this.#keys.get(this.current) as Buffer;
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, key, nonce).setAAD(Buffer.from(of));
    const bytes = [nonce, cipher.update(secret), cipher.final(), cipher.getAuthTag()];
    return { master: this.current, wrapped: Buffer.concat(bytes).toString('base64') };
  }

  /** @throws MemplaneError `storage_damaged`, also without the master key */
  unwrap({ master, wrapped }: WrappedSecret, of: string): Buffer {
    const key = this.#keys.get(master);
    if (key === undefined) throw unreadable(of, `its master key ${master} is not given`);
    const bytes = Buffer.from(wrapped, 'base64');
    try {
      const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, NONCE_BYTES))
        .setAAD(Buffer.from(of))
        .setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
      const secret = decipher.update(bytes.subarray(NONCE_BYTES, bytes.length - TAG_BYTES));
      return Buffer.concat([secret, decipher.final()]);
    } catch (cause) {
      throw unreadable(of, `it was not wrapped by the master key ${master}`, cause);
    }
  }
}

function unreadable(of: string, why: string, cause?: unknown): MemplaneError {
  return new MemplaneError('storage_damaged', `The key of ${of} can not be read: ${why}.`, {
    cause,
  });
}
