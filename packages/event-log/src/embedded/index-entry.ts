/*
 * An entry of a partition's index: where one record lies, and what a writer must know of it.
 *
 * 0 check · 4 u32 segment · 8 u32 position · 12 u32 length · 16 u16 format · 18 u16 key bytes ·
 * 20 u32 key id · 24 u64 HLC · 32 id digest (16) · 48 content digest (16)
 *
 * The index is a derived thing: it is not synced with a commit, an entry whose check does not hold
 * counts as missing, and no record is served on its word alone.
 */
export const ENTRY_BYTES = 64;
export const ENTRY_WORDS = ENTRY_BYTES / 4;
/** Entries per index file; files are removed from the front as the log's start moves on. */
export const ENTRIES_PER_CHUNK = 65_536;
export const ENTRY_FORMAT = 1;
/** The format of an entry that stands for a record that could not be read at recovery. */
const DIGESTS_WORD = 8;
export const ENTRY_LOST = 0xffff;

/** An array of entries that grows, with the views that its fields need. */
export class EntryArray {
  bytes: Buffer;
  words: Int32Array;
  /** Entries in use. */
  count = 0;

  constructor(capacity: number) {
    this.bytes = Buffer.allocUnsafeSlow(capacity * ENTRY_BYTES);
    this.words = new Int32Array(this.bytes.buffer, 0, capacity * ENTRY_WORDS);
  }

  /** Makes room for one more entry and gives its first byte. */
  grow(): number {
    const at = this.count * ENTRY_BYTES;
    if (at === this.bytes.length) {
      const old = this.bytes;
      this.bytes = Buffer.allocUnsafeSlow(old.length * 2);
      this.words = new Int32Array(this.bytes.buffer, 0, this.bytes.length / 4);
      old.copy(this.bytes);
    }
    this.count += 1;
    return at;
  }
}

/** The check over an entry's other 15 words; never 0, so that an unwritten entry never holds. */
export function entryCheck(words: Int32Array, first: number): number {
  let h = 0x2545f491;
  for (let i = first + 1; i < first + ENTRY_WORDS; i++) {
    h = Math.imul(h ^ (words[i] ?? 0), 0x9e3779b1);
    h ^= h >>> 15;
  }
  return h | 1;
}

export function isIntactEntry(words: Int32Array, first: number): boolean {
  return words[first] === entryCheck(words, first);
}

/** Reads entries that are in a buffer, field by field, without making objects. */
export class EntryView {
  readonly #bytes: Buffer;
  readonly words: Int32Array;

  /** `bytes` begins at a multiple of 4 in its memory, as `Buffer.allocUnsafeSlow` gives it. */
  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
  }

  intact(i: number): boolean {
    return isIntactEntry(this.words, i * ENTRY_WORDS);
  }

  lost(i: number): boolean {
    return this.#bytes.readUInt16LE(i * ENTRY_BYTES + 16) === ENTRY_LOST;
  }

  segment(i: number): number {
    return (this.words[i * ENTRY_WORDS + 1] ?? 0) >>> 0;
  }

  position(i: number): number {
    return (this.words[i * ENTRY_WORDS + 2] ?? 0) >>> 0;
  }

  length(i: number): number {
    return (this.words[i * ENTRY_WORDS + 3] ?? 0) >>> 0;
  }

  keyBytes(i: number): number {
    return this.#bytes.readUInt16LE(i * ENTRY_BYTES + 18);
  }

  hlc(i: number): bigint {
    return this.#bytes.readBigUInt64LE(i * ENTRY_BYTES + 24);
  }

  /** Where its digests are among the words: of its identity, then of its content. */
  digestsAt(i: number): number {
    return i * ENTRY_WORDS + DIGESTS_WORD;
  }
}
