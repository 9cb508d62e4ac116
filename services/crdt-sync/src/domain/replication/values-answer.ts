import { MemplaneError } from '@memplane/contracts';
import {
  decodeNames,
  encodeNames,
  mapBytes,
  type ReplicaDelta,
  replicaDeltaLattice,
} from '@memplane/crdt';
import { refOfDeltaKey } from '../delta-key.ts';
import type { CrdtStore, NamedState } from '../port.ts';
import { addState, decodeStates, encodeStates } from './states.ts';

/** The first of some values that were asked for. */
export interface Values {
  /** How many of the names it is about. */
  readonly answered: number;
  /** Of those, the ones whose values are damaged: they are not in `delta`. */
  readonly damaged: readonly string[];
  readonly delta: ReplicaDelta;
}

/** `answered, length of the names, names, states` */
const HEAD_BYTES = 8;
const ENTRY_BYTES = 40;

/** As many of the values asked for as an answer may have, in their order; one at least. */
export async function valuesOf(
  store: CrdtStore,
  keys: readonly string[],
  values_bytes_max: number,
): Promise<Uint8Array> {
  const delta = replicaDeltaLattice.bottom();
  const damaged: string[] = [];
  let answered = 0;
  let bytes = 0;
  for (const key of keys) {
    const ref = refOfDeltaKey(key);
    answered++;
    try {
      const state = await store.state(ref);
      addState(delta, ref, state);
      bytes += roughBytes(state);
    } catch (error) {
      if (!isDamage(error)) throw error;
      damaged.push(key);
    }
    if (bytes >= values_bytes_max) break;
  }
  const names = encodeNames(damaged);
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32BE(answered, 0);
  head.writeUInt32BE(names.length, 4);
  return Buffer.concat([head, names, encodeStates(delta)]);
}

/** @throws MemplaneError for what {@link valuesOf} did not write */
export function decodeValues(answer: Uint8Array): Values {
  const bytes = Buffer.from(answer.buffer, answer.byteOffset, answer.byteLength);
  if (bytes.length < HEAD_BYTES) {
    throw new MemplaneError('dependency_unavailable', 'Another replica speaks otherwise.');
  }
  const statesAt = HEAD_BYTES + bytes.readUInt32BE(4);
  return {
    answered: bytes.readUInt32BE(0),
    damaged: decodeNames(bytes.subarray(HEAD_BYTES, statesAt)),
    delta: decodeStates(bytes.subarray(statesAt)),
  };
}

export function isDamage(error: unknown): boolean {
  return error instanceof MemplaneError && error.code === 'storage_damaged';
}

function roughBytes({ counter, set, register, map }: NamedState): number {
  const entries = (counter?.entries.size ?? 0) + (counter?.claims?.size ?? 0) + 1;
  let bytes = entries * ENTRY_BYTES;
  for (const [element, dots] of set?.elements ?? []) {
    bytes += element.length + (1 + 2 * dots.length) * ENTRY_BYTES;
  }
  for (const { value } of register?.versions ?? []) bytes += JSON.stringify(value).length;
  return map === undefined ? bytes : bytes + mapBytes(map);
}
