/** Words of a record's digests: of its identity, then of its content. */
const DIGEST_WORDS = 4;
export const DIGESTS_WORDS = 2 * DIGEST_WORDS;
const DIGEST_BYTES = 16;
const DIGESTS_BYTES = 2 * DIGEST_BYTES;

/** What remains of a record in the log's recent past: enough to recognise a repetition. */
export interface RecentRecord {
  readonly partition: number;
  readonly offset: number;
  readonly hlc: bigint;
  readonly idDigest: Uint8Array;
  readonly contentDigest: Uint8Array;
}

/** Recent records in arrays of numbers: a start reads many, and an object each would cost it most. */
export class RecentBatch {
  readonly capacity: number;
  readonly partitions: Int32Array;
  readonly offsets: Float64Array;
  readonly hlcs: BigUint64Array;
  /** {@link DIGESTS_WORDS} for each record. */
  readonly digests: Int32Array;
  readonly #bytes: Uint8Array;
  #count = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.partitions = new Int32Array(capacity);
    this.offsets = new Float64Array(capacity);
    this.hlcs = new BigUint64Array(capacity);
    this.digests = new Int32Array(capacity * DIGESTS_WORDS);
    this.#bytes = new Uint8Array(this.digests.buffer);
  }

  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count === this.capacity;
  }

  /** @param digests words of memory that hold the record's digests from `at` on */
  addWords(partition: number, offset: number, hlc: bigint, digests: Int32Array, at: number): void {
    const i = this.#add(partition, offset, hlc);
    for (let n = 0; n < DIGESTS_WORDS; n++) {
      this.digests[i * DIGESTS_WORDS + n] = digests[at + n] ?? 0;
    }
  }

  add({ partition, offset, hlc, idDigest, contentDigest }: RecentRecord): void {
    const i = this.#add(partition, offset, hlc);
    this.#bytes.set(idDigest, i * DIGESTS_BYTES);
    this.#bytes.set(contentDigest, i * DIGESTS_BYTES + DIGEST_BYTES);
  }

  record(i: number): RecentRecord {
    const at = i * DIGESTS_BYTES;
    return {
      partition: this.partitions[i] ?? 0,
      offset: this.offsets[i] ?? 0,
      hlc: this.hlcs[i] ?? 0n,
      idDigest: this.#bytes.subarray(at, at + DIGEST_BYTES),
      contentDigest: this.#bytes.subarray(at + DIGEST_BYTES, at + DIGESTS_BYTES),
    };
  }

  #add(partition: number, offset: number, hlc: bigint): number {
    if (this.isFull) throw new RangeError('the batch is full');
    const i = this.#count++;
    this.partitions[i] = partition;
    this.offsets[i] = offset;
    this.hlcs[i] = hlc;
    return i;
  }
}
