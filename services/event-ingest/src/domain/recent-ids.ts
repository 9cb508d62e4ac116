import type { FirstAppend } from './duplicate-record.ts';
import { CONTENT_KEY_CHARS } from './prepare.ts';

const KEY_BYTES = 16;
const ENTRY_BYTES = 2 * KEY_BYTES;
const KEY_WORDS = KEY_BYTES / 4;
const ENTRY_WORDS = ENTRY_BYTES / 4;
const NONE = -1;

/**
 * The newest identities in arrays of numbers: a ring of entries in order of arrival, found by
 * chains from a table of heads. An entry takes 60 bytes, no object, and no memory before its use.
 */
export class RecentIds {
  readonly #max: number;
  /** Identity and content of each entry. */
  readonly #keys: Buffer;
  readonly #words: Int32Array;
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
    this.#words = new Int32Array(this.#max * ENTRY_WORDS);
    this.#keys = Buffer.from(this.#words.buffer);
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
   * @param digests words of memory (in its own byte order) that hold, from `at` on, the four of the
   * identity, then four of the content's digest
   */
  addOlder(digests: Int32Array, at: number, place: Place): void {
    const chain = (digests[at] ?? 0) & this.#mask;
    let slot = this.#heads[chain] ?? NONE;
    while (slot !== NONE && !this.#holdsWords(slot, digests, at)) slot = this.#next[slot] ?? NONE;
    if (slot === NONE) {
      if (this.#size === this.#max) return;
      // From the last slot down, so that the ring comes to the oldest one first.
      slot = this.#max - 1 - this.#size++;
      this.#copyWords(slot * ENTRY_WORDS, digests, at);
      this.#next[slot] = this.#heads[chain] ?? NONE;
      this.#heads[chain] = slot;
    }
    this.#copyWords(slot * ENTRY_WORDS + KEY_WORDS, digests, at + KEY_WORDS);
    this.#partitions[slot] = place.partition;
    this.#offsets[slot] = place.offset;
    this.#hlcs[slot] = place.hlc;
  }

  #copyWords(to: number, from: Int32Array, at: number): void {
    for (let i = 0; i < KEY_WORDS; i++) this.#words[to + i] = from[at + i] ?? 0;
  }

  #holdsWords(slot: number, words: Int32Array, at: number): boolean {
    for (let i = 0; i < KEY_WORDS; i++) {
      if (this.#words[slot * ENTRY_WORDS + i] !== words[at + i]) return false;
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
    const chain = (this.#words[slot * ENTRY_WORDS] ?? 0) & this.#mask;
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

/**
 * The identity is a hash already: four of its bytes are as good as any. They are its first word, as
 * Node's platforms, which all have the lowest byte first, read it.
 */
function bucketOf(idKey: string): number {
  return (
    idKey.charCodeAt(0) |
    (idKey.charCodeAt(1) << 8) |
    (idKey.charCodeAt(2) << 16) |
    (idKey.charCodeAt(3) << 24)
  );
}
