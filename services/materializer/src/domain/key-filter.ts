/** Words of 32 bits in a block: all bits of a key are in one block, which is one line of cache. */
const BLOCK_WORDS = 16;
const BLOCK_BITS = BLOCK_WORDS * 32;
/** Bits that each key sets. */
const PROBES = 6;
/** Below this many bits a key the filter would let nearly everything through. */
const BITS_PER_KEY_MIN = 6;

/**
 * A set of keys that may say "perhaps" of a key it does not hold, but never "no" of one that it
 * does: a Bloom filter in blocks. What was never added need not be looked for in the store. Of fixed
 * size: with more keys it says "perhaps" more often, until it is of no use and gives itself up.
 */
export class KeyFilter {
  readonly #bits: Uint32Array;
  readonly #blocks: number;
  readonly #keysMax: number;
  #keys = 0;
  #isComplete: boolean;

  /**
   * @param bytes rounded down to whole blocks
   * @param isComplete whether nothing is in the store yet; else it learns first, see {@link learned}
   */
  constructor(bytes: number, isComplete: boolean) {
    this.#blocks = Math.floor(bytes / (BLOCK_WORDS * 4));
    this.#bits = new Uint32Array(this.#blocks * BLOCK_WORDS);
    this.#keysMax = Math.floor((this.#blocks * BLOCK_BITS) / BITS_PER_KEY_MIN);
    this.#isComplete = isComplete && this.#blocks > 0;
  }

  /** Whether it knows all keys of the store, so that its "no" counts. */
  get isComplete(): boolean {
    return this.#isComplete && this.#keys <= this.#keysMax;
  }

  /** Whether it is worth telling it the keys that are in the store. */
  get isUseful(): boolean {
    return this.#blocks > 0 && this.#keys <= this.#keysMax;
  }

  /** All keys that were in the store when it was made have been added. */
  learned(): void {
    this.#isComplete = true;
  }

  /** Adds a key. @returns false when it was certainly not there before */
  add(key: string): boolean {
    if (this.#blocks === 0) return true;
    let a = 0x811c9dc5;
    let b = 0x9747b28c;
    for (let i = 0; i < key.length; i++) {
      const code = key.charCodeAt(i);
      a = Math.imul(a ^ code, 0x01000193);
      b = Math.imul(b ^ code, 0x5bd1e995);
      b ^= b >>> 15;
    }
    a ^= a >>> 16;
    a = Math.imul(a, 0x85ebca6b);
    a ^= a >>> 13;
    return this.#set((a >>> 0) % this.#blocks, b);
  }

  #set(block: number, hash: number): boolean {
    const bits = this.#bits;
    const base = block * BLOCK_WORDS;
    let wasThere = true;
    let h = hash;
    for (let probe = 0; probe < PROBES; probe++) {
      h = Math.imul(h ^ (h >>> 16), 0x9e3779b1);
      const bit = h >>> 23;
      const at = base + (bit >>> 5);
      const mask = 1 << (bit & 31);
      const word = bits[at] as number;
      if ((word & mask) === 0) {
        wasThere = false;
        bits[at] = word | mask;
      }
    }
    if (!wasThere) this.#keys++;
    return wasThere || !this.isComplete;
  }
}
