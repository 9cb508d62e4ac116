import { hash } from 'node:crypto';
import { LIMITS, MemplaneError } from '@memplane/contracts';
import { type EntityKey, sealEvent } from '@memplane/runtime/sealing';
import { CONTENT_KEY_CHARS, ID_KEY_CHARS, type PreparedEvent } from '../domain/prepare.ts';
import type { PreparedBody } from '../domain/prepare-body.ts';
import type { EntityKeys } from './entity-keys.ts';

/** Which entities are sealed. */
export interface SealedZones {
  /** Whether any is. */
  readonly hasSealed: boolean;
  isSealed(entity: string): boolean;
}

/** Where callers are told apart, and there is a key, all is sealed. */
export const ALL_SEALED: SealedZones = { hasSealed: true, isSealed: () => true };

/** Seals events on their way to the log, where their zone says so. */
export class Sealer {
  readonly #keys: EntityKeys | undefined;
  readonly #zones: SealedZones;

  /** @param keys undefined: there is no master key, and what is to be sealed is refused */
  constructor(keys: EntityKeys | undefined, zones: SealedZones) {
    this.#keys = keys;
    this.#zones = zones;
  }

  /** Whether any event may have to be sealed. */
  get isInUse(): boolean {
    return this.#zones.hasSealed;
  }

  /**
   * The body with its payloads sealed, where they are to be; itself where none is.
   * @throws MemplaneError `sealing_unavailable`, `event_too_large`, what keys throw
   */
  async seal(body: PreparedBody, tenant: string): Promise<PreparedBody> {
    const keys = new Map<string, EntityKey>();
    const waiting: Promise<unknown>[] = [];
    for (const { entity } of body.events) {
      if (keys.has(entity) || !this.#zones.isSealed(entity)) continue;
      const key = this.#keyOf(tenant, entity);
      if (key instanceof Promise) waiting.push(key.then((made) => keys.set(entity, made)));
      else keys.set(entity, key);
    }
    if (waiting.length > 0) await Promise.all(waiting);
    if (keys.size === 0) return body;
    const fieldOf = (index: number) => (body.isBatch ? `body[${index}]` : 'body');
    const events = body.events.map((event, i) => {
      const key = keys.get(event.entity);
      return key === undefined ? event : sealed(event, key, fieldOf(i));
    });
    return { ...body, events };
  }

  #keyOf(tenant: string, entity: string): EntityKey | Promise<EntityKey> {
    if (this.#keys !== undefined) return this.#keys.keyOf(tenant, entity);
    throw new MemplaneError('sealing_unavailable', `${entity} is sealed, and there is no key.`, {
      extra: { entity },
    });
  }
}

/** Identity and digest are keyed too, so that they go with the key: the id is new after that. */
function sealed(event: PreparedEvent, key: EntityKey, field: string): PreparedEvent {
  const { value, digest } = sealEvent(event.value, key);
  const { event_bytes_max: max } = LIMITS;
  if (value.length > max) {
    const what = `The event as it goes into the log, sealed, has ${value.length} bytes`;
    throw new MemplaneError('event_too_large', `${what}; at most ${max}.`, {
      field,
      extra: { limit: 'event_bytes_max', max },
    });
  }
  const named = key.digestKey + Buffer.from(event.idKey, 'latin1').toString('base64url');
  const idKey = hash('sha256', named, 'binary').slice(0, ID_KEY_CHARS);
  return { ...event, idKey, digest, contentKey: digest.slice(0, CONTENT_KEY_CHARS), value };
}
