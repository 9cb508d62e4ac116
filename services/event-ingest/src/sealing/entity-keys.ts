import { randomBytes } from 'node:crypto';
import { MemplaneError, partitionKey } from '@memplane/contracts';
import { type EntityKey, entityKey, KEY_ID_BYTES, SECRET_BYTES } from '@memplane/runtime/sealing';
import type { StrongStore } from '@memplane/runtime/strong';
import { decodeKeyRecord, encodeKeyRecord, keyRecordName } from '../domain/sealing/key-record.ts';
import type { MasterKeys } from '../domain/sealing/master-keys.ts';

export interface EntityKeysOptions {
  readonly store: StrongStore;
  readonly master: MasterKeys;
  /** Keys that are kept in memory, about 500 bytes each. */
  readonly keys_cached_max: number;
}

const ATTEMPTS_MAX = 5;

/**
 * The keys of entities: one each, made when its first event is sealed, kept in the strong store
 * wrapped by the master key, and removed when the entity is erased.
 */
export class EntityKeys {
  readonly #options: EntityKeysOptions;
  /** By partition key, the last loaded last. */
  readonly #cached = new Map<string, EntityKey>();
  readonly #loading = new Map<string, Promise<EntityKey>>();
  /** Counts up when what is being loaded may be of no use any more. */
  #forgotten = 0;

  constructor(options: EntityKeysOptions) {
    this.#options = options;
  }

  /**
   * The key to seal with: at once where it is known; a new one is durable before it is used.
   * @throws MemplaneError what the store throws, `storage_damaged`
   */
  keyOf(tenant: string, entity: string): EntityKey | Promise<EntityKey> {
    const name = partitionKey(tenant, entity);
    const cached = this.#cached.get(name);
    if (cached !== undefined) return cached;
    let loading = this.#loading.get(name);
    if (loading === undefined) {
      const started = this.#load(tenant, entity, name).finally(() => {
        if (this.#loading.get(name) === started) this.#loading.delete(name);
      });
      this.#loading.set(name, started);
      loading = started;
    }
    return loading;
  }

  /** The secret of a key; undefined once it is gone. @throws as `keyOf` */
  async secretOf(tenant: string, entity: string, keyId: string): Promise<Buffer | undefined> {
    const record = await this.#read(tenant, entity);
    if (record?.id !== keyId) return undefined;
    return this.#options.master.unwrap(record, identity(tenant, entity, keyId));
  }

  /** The id of an entity's key; undefined: it has none. */
  async idOf(tenant: string, entity: string): Promise<string | undefined> {
    return (await this.#read(tenant, entity))?.id;
  }

  /** Another instance may have removed the key: it is looked for anew. @param name partition key */
  forget(name: string): void {
    this.#cached.delete(name);
    this.#loading.delete(name);
    this.#forgotten++;
  }

  /** {@link forget} of all entities. */
  forgetAll(): void {
    this.#cached.clear();
    this.#loading.clear();
    this.#forgotten++;
  }

  /**
   * Removes an entity's key, if it is that one: a later one stays.
   * @throws MemplaneError `no_quorum`, what the store throws
   */
  async remove(tenant: string, entity: string, keyId: string): Promise<void> {
    const { store } = this.#options;
    const name = keyRecordName(tenant, entity);
    this.forget(partitionKey(tenant, entity));
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const found = await store.get(name);
      if (found === undefined || decodeKeyRecord(found.value).id !== keyId) return;
      await store.delete(name, found.version);
    }
    throw new MemplaneError('no_quorum', 'The key could not be removed yet.', {
      retryAfterMs: 500,
    });
  }

  async #load(tenant: string, entity: string, name: string): Promise<EntityKey> {
    const { master } = this.#options;
    const forgotten = this.#forgotten;
    const record = (await this.#read(tenant, entity)) ?? (await this.#make(tenant, entity));
    const secret = master.unwrap(record, identity(tenant, entity, record.id));
    const key = entityKey(record.id, secret);
    if (this.#forgotten !== forgotten) return key;
    this.#cached.set(name, key);
    const [oldest] = this.#cached.keys();
    if (this.#cached.size > this.#options.keys_cached_max && oldest !== undefined) {
      this.#cached.delete(oldest);
    }
    return key;
  }

  async #read(tenant: string, entity: string) {
    const found = await this.#options.store.get(keyRecordName(tenant, entity));
    return found === undefined ? undefined : decodeKeyRecord(found.value);
  }

  async #make(tenant: string, entity: string) {
    const { store, master } = this.#options;
    const id = randomBytes(KEY_ID_BYTES).toString('base64url');
    const wrapped = master.wrap(randomBytes(SECRET_BYTES), identity(tenant, entity, id));
    const record = { id, ...wrapped };
    const name = keyRecordName(tenant, entity);
    const { kind } = await store.create(name, encodeKeyRecord(record));
    if (kind === 'written') return record;
    // Another instance was first, or it may have been written all the same: what is there counts.
    const found = await this.#read(tenant, entity);
    if (found !== undefined) return found;
    throw new MemplaneError('no_quorum', `The key of ${entity} could not be made yet.`, {
      retryAfterMs: 500,
      extra: { entity },
    });
  }
}

function identity(tenant: string, entity: string, keyId: string): string {
  return `${tenant}\0${entity}\0${keyId}`;
}
