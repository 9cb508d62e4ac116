import type { FirstAppend } from './duplicate-record.ts';
import { CONTENT_KEY_CHARS } from './prepare.ts';

const KEY_BYTES = 16;
const ENTRY_BYTES = 2 * KEY_BYTES;
const NONE = -1;

/**
 * The newest identities in arrays of numbers: a ring of entries in order of arrival, found by
 * chains from a table of heads. An entry takes 60 bytes, no object, and no memory before its use.
 */
export class RecentIds {
  readonly #max: number;
  /** Identity and content of each entry. */
  readonly #keys: Buffer;
  readonly #partitions: Int32Array;
  readonly #offsets: Float64Array;
  readonly #hlcs: BigUint64Array;
  readonly #heads: Int32Array;
  /** The next entry of the same chain. */
  readonly #next: Int32Array;
  readonly #mask: number;
  #size = 0;
  /** The slot of the next entry: the oldest one's, once the ring is full. */
  #at = 0;

  constructor(entriesMax: number) {
    this.#max = Math.max(1, entriesMax);
    this.#keys = Buffer.alloc(this.#max * ENTRY_BYTES);
    this.#partitions = new Int32Array(this.#max);
    this.#offsets = new Float64Array(this.#max);
    this.#hlcs = new BigUint64Array(this.#max);
    this.#next = new Int32Array(this.#max);
    const heads = 2 ** Math.ceil(Math.log2(this.#max));
    this.#heads = new Int32Array(heads).fill(NONE);
    this.#mask = heads - 1;
  }

  get size(): number {
    return this.#size;
  }

  get(idKey: string): FirstAppend | undefined {
    const slot = this.#find(idKey);
    if (slot === NONE) return undefined;
    const content = slot * ENTRY_BYTES + KEY_BYTES;
    return {
      partition: this.#partitions[slot] ?? 0,
      offset: this.#offsets[slot] ?? 0,
      hlc: this.#hlcs[slot] ?? 0n,
      contentKey: this.#keys
        .toString('base64url', content, content + KEY_BYTES)
        .slice(0, CONTENT_KEY_CHARS),
    };
  }

  /**
   * Adds an identity, and forgets the oldest when full. One that is there keeps its first place.
   * @param first its `digest` is base64url, of which 16 bytes are kept
   */
  add(idKey: string, first: Place & { readonly digest: string }): void {
    const known = this.#find(idKey);
    if (known !== NONE) return;
    const slot = this.#at;
    if (this.#size === this.#max) this.#unlink(slot);
    else this.#size++;
    this.#at = slot + 1 === this.#max ? 0 : slot + 1;
    this.#keys.write(idKey, slot * ENTRY_BYTES, KEY_BYTES, 'latin1');
    this.#keys.write(first.digest, slot * ENTRY_BYTES + KEY_BYTES, KEY_BYTES, 'base64url');
    this.#partitions[slot] = first.partition;
    this.#offsets[slot] = first.offset;
    this.#hlcs[slot] = first.hlc;
    const chain = bucketOf(idKey) & this.#mask;
    this.#next[slot] = this.#heads[chain] ?? NONE;
    this.#heads[chain] = slot;
  }

  /**
   * Adds an identity older than all that are there; only before the first `add`. One that is there
   * takes this earlier place. Nothing is added when full.
   * @param id 16 bytes
   * @param digest at least 16 bytes, which are kept
   */
  addOlder(id: Uint8Array, digest: Uint8Array, place: Place): void {
    const chain = bucketOfBytes(id) & this.#mask;
    let slot = this.#heads[chain] ?? NONE;
    while (slot !== NONE && !this.#holdsBytes(slot, id)) slot = this.#next[slot] ?? NONE;
    if (slot === NONE) {
      if (this.#size === this.#max) return;
      // From the last slot down, so that the ring comes to the oldest one first.
      slot = this.#max - 1 - this.#size++;
      this.#copy(id, slot * ENTRY_BYTES);
      this.#next[slot] = this.#heads[chain] ?? NONE;
      this.#heads[chain] = slot;
    }
    this.#copy(digest, slot * ENTRY_BYTES + KEY_BYTES);
    this.#partitions[slot] = place.partition;
    this.#offsets[slot] = place.offset;
    this.#hlcs[slot] = place.hlc;
  }

  #copy(key: Uint8Array, at: number): void {
    for (let i = 0; i < KEY_BYTES; i++) this.#keys[at + i] = key[i] ?? 0;
  }

  #holdsBytes(slot: number, id: Uint8Array): boolean {
    const at = slot * ENTRY_BYTES;
    for (let i = 0; i < KEY_BYTES; i++) {
      if (this.#keys[at + i] !== id[i]) return false;
    }
    return true;
  }

  #find(idKey: string): number {
    let slot = this.#heads[bucketOf(idKey) & this.#mask] ?? NONE;
    while (slot !== NONE && !this.#holds(slot, idKey)) slot = this.#next[slot] ?? NONE;
    return slot;
  }

  #holds(slot: number, idKey: string): boolean {
    const at = slot * ENTRY_BYTES;
    for (let i = 0; i < KEY_BYTES; i++) {
      if (this.#keys[at + i] !== idKey.charCodeAt(i)) return false;
    }
    return true;
  }

  #unlink(slot: number): void {
    const bytes = slot * ENTRY_BYTES;
    const chain = bucketOf(this.#keys.toString('latin1', bytes, bytes + 4)) & this.#mask;
    const after = this.#next[slot] ?? NONE;
    let at = this.#heads[chain] ?? NONE;
    if (at === slot) {
      this.#heads[chain] = after;
      return;
    }
    while (at !== NONE) {
      const next = this.#next[at] ?? NONE;
      if (next === slot) {
        this.#next[at] = after;
        return;
      }
      at = next;
    }
  }
}

type Place = Omit<FirstAppend, 'contentKey'>;

/** The identity is a hash already: four of its bytes are as good as any. */
function bucketOf(idKey: string): number {
  return (
    idKey.charCodeAt(0) |
    (idKey.charCodeAt(1) << 8) |
    (idKey.charCodeAt(2) << 16) |
    (idKey.charCodeAt(3) << 24)
  );
}

function bucketOfBytes(id: Uint8Array): number {
  return (id[0] ?? 0) | ((id[1] ?? 0) << 8) | ((id[2] ?? 0) << 16) | ((id[3] ?? 0) << 24);
}
