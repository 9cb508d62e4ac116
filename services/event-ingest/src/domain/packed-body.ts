import { partitionKey } from '@memplane/contracts';
import { CONTENT_KEY_CHARS, DIGEST_CHARS, ID_KEY_CHARS, type PreparedEvent } from './prepare.ts';
import type { CarriedConditions, CarriedHlc, PreparedBody } from './prepare-body.ts';

/**
 * A prepared body in a few flat pieces, of which a thread's message costs little: it costs by the
 * object, not by the byte.
 */
export interface PackedBody {
  readonly isBatch: boolean;
  readonly carried: readonly CarriedHlc[];
  readonly conditions: readonly CarriedConditions[];
  readonly madeIds: readonly number[];
  /** Id and entity of each event, without gaps. */
  readonly names: string;
  /** Identity and digest of each event, without gaps. */
  readonly keys: string;
  /** The values, one after the other. */
  readonly values: Uint8Array<ArrayBuffer>;
  /** Of each event, where its id and its entity end in `names`, and its value in `values`. */
  readonly ends: Uint32Array<ArrayBuffer>;
}

export const ENDS_PER_EVENT = 3;

const KEYS_CHARS = ID_KEY_CHARS + DIGEST_CHARS;

/** Of one body, all events have one tenant. */
export function unpackBody(packed: PackedBody, tenant: string): PreparedBody {
  const { names, keys, ends, isBatch, carried, conditions, madeIds } = packed;
  const { buffer, byteOffset, byteLength } = packed.values;
  const values = Buffer.from(buffer, byteOffset, byteLength);
  const events = new Array<PreparedEvent>(ends.length / ENDS_PER_EVENT);
  let name = 0;
  let from = 0;
  for (let i = 0; i < events.length; i++) {
    const at = i * ENDS_PER_EVENT;
    const idEnd = ends[at] ?? 0;
    const nameEnd = ends[at + 1] ?? 0;
    const end = ends[at + 2] ?? 0;
    const key = i * KEYS_CHARS;
    const digest = keys.slice(key + ID_KEY_CHARS, key + KEYS_CHARS);
    const entity = names.slice(idEnd, nameEnd);
    events[i] = {
      id: names.slice(name, idEnd),
      entity,
      key: partitionKey(tenant, entity),
      idKey: keys.slice(key, key + ID_KEY_CHARS),
      contentKey: digest.slice(0, CONTENT_KEY_CHARS),
      digest,
      value: values.subarray(from, end),
    };
    name = nameEnd;
    from = end;
  }
  return { events, isBatch, carried, conditions, madeIds };
}
