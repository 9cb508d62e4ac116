import { dot } from '../vector-arena.ts';

/** Files are told apart by this many rows. */
const ROWS_PER_FILE = 2 ** 40;

/**
 * Vectors read last, of all files of a process, in one piece of memory of a fixed size: what is
 * searched again and again needs no reading and no checksum. The place that was not used for longest
 * goes first, roughly (a hand goes round, and spares once what was used since it last came by).
 */
export class VectorCache {
  readonly #dimensions: number;
  readonly #values: Float32Array;
  readonly #keys: Float64Array;
  readonly #isUsed: Uint8Array;
  readonly #placeOf = new Map<number, number>();
  #hand = 0;
  #files = 0;

  constructor(dimensions: number, bytesMax: number) {
    const places = Math.floor(bytesMax / (dimensions * Float32Array.BYTES_PER_ELEMENT));
    this.#dimensions = dimensions;
    this.#values = new Float32Array(places * dimensions);
    this.#keys = new Float64Array(places).fill(-1);
    this.#isUsed = new Uint8Array(places);
  }

  /** How many vectors it holds at most. */
  get places(): number {
    return this.#keys.length;
  }

  /** The part of a file of its own. */
  file(): CachedFile {
    const base = this.#files++ * ROWS_PER_FILE;
    return {
      score: (row, query) => this.#score(base + row, query),
      keep: (row, vector) => this.#keep(base + row, vector),
      forget: (row) => this.#forget(base + row),
    };
  }

  #score(key: number, query: Float32Array): number | undefined {
    const place = this.#placeOf.get(key);
    if (place === undefined) return undefined;
    this.#isUsed[place] = 1;
    const at = place * this.#dimensions;
    return dot(this.#values.subarray(at, at + this.#dimensions), query);
  }

  #keep(key: number, vector: Float32Array): void {
    if (this.#keys.length === 0 || this.#placeOf.has(key)) return;
    while (this.#isUsed[this.#hand] === 1) {
      this.#isUsed[this.#hand] = 0;
      this.#step();
    }
    const place = this.#hand;
    this.#placeOf.delete(this.#keys[place] ?? -1);
    this.#keys[place] = key;
    this.#placeOf.set(key, place);
    this.#values.set(vector, place * this.#dimensions);
    this.#step();
  }

  #forget(key: number): void {
    const place = this.#placeOf.get(key);
    if (place === undefined) return;
    this.#placeOf.delete(key);
    this.#keys[place] = -1;
  }

  #step(): void {
    this.#hand = (this.#hand + 1) % this.#keys.length;
  }
}

export interface CachedFile {
  /** The dot product; undefined where the vector is not here. */
  score(row: number, query: Float32Array): number | undefined;
  keep(row: number, vector: Float32Array): void;
  forget(row: number): void;
}
