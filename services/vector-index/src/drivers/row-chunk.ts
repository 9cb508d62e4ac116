export const RECORD_BYTES = 32;
export const CHUNK_BITS = 13;
export const CHUNK_ROWS = 1 << CHUNK_BITS;

const SHORTS = RECORD_BYTES / 2;
const WORDS = RECORD_BYTES / 4;
const DOUBLES = RECORD_BYTES / 8;

export interface ChunkRecord {
  readonly partition: number;
  readonly kind: number;
  readonly textLength: number;
  readonly previousTurn: number;
  readonly entityRef: number;
  readonly offset: number;
}

/** Where a column stands in a record, in units of its own size. */
const PARTITION = 0;
const KIND = 1;
const TEXT_LENGTH = 1;
const PREVIOUS_TURN = 2;
const ENTITY_REF = 3;
const OFFSET = 2;
const SUPERSEDED_AT = 3;

/**
 * The records of {@link CHUNK_ROWS} rows, as their file has them: the lowest byte first, as all of
 * Node's platforms do. Arrays, and no view that is told the order at each access: a start reads every
 * row long before anything is compiled.
 */
export class RowChunk {
  readonly bytes: Uint8Array;
  readonly #shorts: Uint16Array;
  readonly #words: Uint32Array;
  readonly #doubles: Float64Array;

  constructor(buffer = new ArrayBuffer(CHUNK_ROWS * RECORD_BYTES)) {
    this.bytes = new Uint8Array(buffer);
    this.#shorts = new Uint16Array(buffer);
    this.#words = new Uint32Array(buffer);
    this.#doubles = new Float64Array(buffer);
  }

  partition(i: number): number {
    return this.#shorts[i * SHORTS + PARTITION] ?? 0;
  }

  /** Its place among the kinds. */
  kind(i: number): number {
    return this.#shorts[i * SHORTS + KIND] ?? 0;
  }

  textLength(i: number): number {
    return this.#words[i * WORDS + TEXT_LENGTH] ?? 0;
  }

  previousTurn(i: number): number {
    return this.#words[i * WORDS + PREVIOUS_TURN] ?? 0;
  }

  entityRef(i: number): number {
    return this.#words[i * WORDS + ENTITY_REF] ?? 0;
  }

  offset(i: number): number {
    return this.#doubles[i * DOUBLES + OFFSET] ?? 0;
  }

  /** Infinity: by none. */
  supersededAt(i: number): number {
    return this.#doubles[i * DOUBLES + SUPERSEDED_AT] ?? 0;
  }

  set(i: number, record: ChunkRecord): void {
    this.#shorts[i * SHORTS + PARTITION] = record.partition;
    this.#shorts[i * SHORTS + KIND] = record.kind;
    this.#words[i * WORDS + TEXT_LENGTH] = record.textLength;
    this.#words[i * WORDS + PREVIOUS_TURN] = record.previousTurn;
    this.#words[i * WORDS + ENTITY_REF] = record.entityRef;
    this.#doubles[i * DOUBLES + OFFSET] = record.offset;
    this.#doubles[i * DOUBLES + SUPERSEDED_AT] = Number.POSITIVE_INFINITY;
  }

  supersede(i: number, offset: number): void {
    this.#doubles[i * DOUBLES + SUPERSEDED_AT] = offset;
  }

  /**
   * The bytes of some records as they were added: without the marks that came later.
   * @param into is overwritten, and holds what is returned: a copy for each chunk would have the
   * garbage collected several times at a start
   */
  asAdded(first: number, count: number, into: RowChunk): Uint8Array {
    const copy = into.#doubles;
    copy.set(this.#doubles.subarray(first * DOUBLES, (first + count) * DOUBLES));
    for (let at = SUPERSEDED_AT; at < count * DOUBLES; at += DOUBLES) {
      copy[at] = Number.POSITIVE_INFINITY;
    }
    return into.bytes.subarray(0, count * RECORD_BYTES);
  }
}
