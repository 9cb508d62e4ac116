/** A set of row numbers, one bit each. It grows as it is written; bits beyond it are 0. */
export class Bitmap {
  #words: Uint32Array;

  constructor(rows = 0) {
    this.#words = new Uint32Array(wordsFor(rows));
  }

  static of(rows: Iterable<number>): Bitmap {
    const bitmap = new Bitmap();
    for (const row of rows) bitmap.add(row);
    return bitmap;
  }

  /** All of `0 … rows - 1`. */
  static full(rows: number): Bitmap {
    const bitmap = new Bitmap(rows);
    const whole = rows >>> 5;
    bitmap.#words.fill(0xffffffff, 0, whole);
    if ((rows & 31) !== 0) bitmap.#words[whole] = 2 ** (rows & 31) - 1;
    return bitmap;
  }

  has(row: number): boolean {
    return (((this.#words[row >>> 5] ?? 0) >>> (row & 31)) & 1) === 1;
  }

  add(row: number): void {
    const at = row >>> 5;
    if (at >= this.#words.length) this.#grow(at + 1);
    this.#words[at] = (this.#words[at] ?? 0) | (1 << (row & 31));
  }

  remove(row: number): void {
    const at = row >>> 5;
    if (at < this.#words.length) this.#words[at] = (this.#words[at] ?? 0) & ~(1 << (row & 31));
  }

  clone(): Bitmap {
    const copy = new Bitmap();
    copy.#words = this.#words.slice();
    return copy;
  }

  and(other: Bitmap): this {
    const words = this.#words;
    for (let i = 0; i < words.length; i++) words[i] = (words[i] ?? 0) & (other.#words[i] ?? 0);
    return this;
  }

  or(other: Bitmap): this {
    if (other.#words.length > this.#words.length) this.#grow(other.#words.length);
    const words = this.#words;
    for (let i = 0; i < other.#words.length; i++)
      words[i] = (words[i] ?? 0) | (other.#words[i] ?? 0);
    return this;
  }

  andNot(other: Bitmap): this {
    const words = this.#words;
    for (let i = 0; i < words.length; i++) words[i] = (words[i] ?? 0) & ~(other.#words[i] ?? 0);
    return this;
  }

  count(): number {
    let sum = 0;
    for (let i = 0; i < this.#words.length; i++) sum += ones(this.#words[i] ?? 0);
    return sum;
  }

  *[Symbol.iterator](): Generator<number> {
    for (let i = 0; i < this.#words.length; i++) {
      let word = this.#words[i] ?? 0;
      while (word !== 0) {
        const low = word & -word;
        yield i * 32 + 31 - Math.clz32(low);
        word ^= low;
      }
    }
  }

  /** The bytes, lowest row first; at least enough for `rows`. Not a copy where it can be avoided. */
  bytes(rows: number): Uint8Array {
    if (this.#words.length < wordsFor(rows)) this.#grow(wordsFor(rows));
    return new Uint8Array(this.#words.buffer, 0, wordsFor(rows) * 4);
  }

  get bytesHeld(): number {
    return this.#words.byteLength;
  }

  #grow(words: number): void {
    const larger = new Uint32Array(Math.max(words, this.#words.length * 2));
    larger.set(this.#words);
    this.#words = larger;
  }
}

function wordsFor(rows: number): number {
  return (rows + 31) >>> 5;
}

function ones(word: number): number {
  let v = word - ((word >>> 1) & 0x55555555);
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333);
  return Math.imul((v + (v >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
