import { MemplaneError, UNWRAP_KEYS_MAX, type UnwrapAnswer } from '@memplane/contracts';
import type { Invoker } from '@memplane/runtime';
import { type EntityKey, entityKey } from '@memplane/runtime/sealing';

export interface KeyName {
  readonly tenant: string;
  readonly entity: string;
  readonly keyId: string;
}

export interface UnwrappedKeysOptions {
  /** Of event-ingest, which owns the keys. Without it nothing can be opened. */
  readonly invoker: Invoker | undefined;
  /** How long a key is kept: so long after its removal something may still be opened. */
  readonly keyCacheMs: number;
  readonly keys_cached_max: number;
  readonly timeoutMs: number;
}

interface CachedKey {
  /** Undefined: it is gone, for good. */
  readonly key: EntityKey | undefined;
  readonly untilMs: number;
}

/** Keys of entities, asked of event-ingest and kept for a short while. */
export class UnwrappedKeys {
  readonly #options: UnwrappedKeysOptions;
  readonly #cached = new Map<string, CachedKey>();

  constructor(options: UnwrappedKeysOptions) {
    this.#options = options;
  }

  /**
   * The keys by their ids; those that are gone are not among them.
   * @throws MemplaneError `dependency_unavailable`, what event-ingest answers
   */
  async get(names: readonly KeyName[]): Promise<ReadonlyMap<string, EntityKey>> {
    const found = new Map<string, EntityKey>();
    const missing: KeyName[] = [];
    const now = performance.now();
    for (const name of names) {
      const cached = this.#cached.get(name.keyId);
      if (cached === undefined || cached.untilMs <= now) missing.push(name);
      else if (cached.key !== undefined) found.set(name.keyId, cached.key);
    }
    for (let at = 0; at < missing.length; at += UNWRAP_KEYS_MAX) {
      await this.#ask(missing.slice(at, at + UNWRAP_KEYS_MAX), found);
    }
    return found;
  }

  async #ask(keys: readonly KeyName[], found: Map<string, EntityKey>): Promise<void> {
    const { invoker, keyCacheMs, timeoutMs } = this.#options;
    if (invoker === undefined) {
      throw new MemplaneError('dependency_unavailable', 'Sealed events need event-ingest.');
    }
    // Counted from the asking: the key may be gone by the time that the answer is here.
    const untilMs = performance.now() + keyCacheMs;
    const answer = await invoker.invoke('event-ingest', 'POST', '/v1/keys/unwrap', {
      body: { keys },
      timeoutMs,
    });
    const { secrets } = answer as UnwrapAnswer;
    for (const [i, { keyId }] of keys.entries()) {
      const secret = secrets[i];
      const key = secret ? entityKey(keyId, Buffer.from(secret, 'base64')) : undefined;
      if (key !== undefined) found.set(keyId, key);
      this.#keep(keyId, { key, untilMs });
    }
  }

  #keep(keyId: string, cached: CachedKey): void {
    this.#cached.delete(keyId);
    this.#cached.set(keyId, cached);
    const [oldest] = this.#cached.keys();
    if (this.#cached.size > this.#options.keys_cached_max && oldest !== undefined) {
      this.#cached.delete(oldest);
    }
  }
}
