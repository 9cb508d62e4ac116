import { partitionKey } from '@memplane/contracts';
import { CONTENT_KEY_CHARS, type PreparedEvent } from '../domain/prepare.ts';
import type { CarriedHlc, PreparedBody } from '../domain/prepare-body.ts';

/** A prepared body in a few flat pieces: a thread's message costs by the object, not by the byte. */
export interface PackedBody {
  readonly isBatch: boolean;
  readonly carried: readonly CarriedHlc[];
  readonly ids: readonly string[];
  readonly entities: readonly string[];
  /** {@link ID_KEY_CHARS} and {@link DIGEST_CHARS} of each event, without gaps. */
  readonly idKeys: string;
  readonly digests: string;
  /** All values, one after the other, and where each ends. */
  readonly values: Uint8Array<ArrayBuffer>;
  readonly ends: Uint32Array<ArrayBuffer>;
}

const ID_KEY_CHARS = 16;
/** A SHA-256 in base64url. */
const DIGEST_CHARS = 43;

export function packBody({ events, isBatch, carried }: PreparedBody): PackedBody {
  const ends = new Uint32Array(events.length);
  let bytes = 0;
  let idKeys = '';
  let digests = '';
  for (const [i, event] of events.entries()) {
    bytes += event.value.length;
    ends[i] = bytes;
    idKeys += event.idKey;
    digests += event.digest;
  }
  const values = new Uint8Array(bytes);
  for (const [i, { value }] of events.entries()) values.set(value, (ends[i] ?? 0) - value.length);
  const ids = events.map((event) => event.id);
  const entities = events.map((event) => event.entity);
  return { isBatch, carried, ids, entities, idKeys, digests, values, ends };
}

/** The inverse of {@link packBody}. Events of one body have one tenant. */
export function unpackBody(packed: PackedBody, tenant: string): PreparedBody {
  const { ids, entities, idKeys, digests, ends, isBatch, carried } = packed;
  const values = Buffer.from(packed.values.buffer);
  let from = 0;
  const events = ids.map((id, i): PreparedEvent => {
    const entity = entities[i] ?? '';
    const end = ends[i] ?? from;
    const digest = digests.slice(i * DIGEST_CHARS, (i + 1) * DIGEST_CHARS);
    const value = values.subarray(from, end);
    from = end;
    return {
      id,
      entity,
      key: partitionKey(tenant, entity),
      idKey: idKeys.slice(i * ID_KEY_CHARS, (i + 1) * ID_KEY_CHARS),
      contentKey: digest.slice(0, CONTENT_KEY_CHARS),
      digest,
      value,
    };
  });
  return { events, isBatch, carried };
}
