/** Bits of the signature that the first stage compares. The kernel knows this number too. */
export const SIGNATURE_BITS = 256;
export const SIGNATURE_BYTES = SIGNATURE_BITS / 8;

/**
 * Turns vectors into what the stages of a search compare. It depends on the number of dimensions
 * alone, never on the data: the same vector gives the same codes in every index, so answers repeat
 * after any rebuild.
 *
 * The signature holds the signs of {@link SIGNATURE_BITS} random projections: random signs, then a
 * fast Walsh–Hadamard transform over the next power of two (Ailon and Chazelle 2009; the same
 * rotation that RaBitQ and QuaRot use). Hamming distance then estimates the angle (Charikar 2002).
 * Codes are the vector's own values as int8 under one scale a vector.
 */
export class Quantizer {
  readonly dimensions: number;
  /** Bytes of one row's codes: the dimensions, rounded up to 16. */
  readonly stride: number;
  readonly #signs: Float64Array;
  readonly #rotated: Float64Array;

  constructor(dimensions: number) {
    this.dimensions = dimensions;
    this.stride = Math.ceil(dimensions / 16) * 16;
    let size = SIGNATURE_BITS;
    while (size < dimensions) size *= 2;
    this.#rotated = new Float64Array(size);
    this.#signs = new Float64Array(size);
    let state = 0x2545f491;
    for (let i = 0; i < size; i++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      this.#signs[i] = state < 0 ? -1 : 1;
    }
  }

  /** Writes the signature of a vector to 32 bytes of `target`. */
  signature(vector: Float32Array, target: Uint8Array, at = 0): void {
    const values = this.#rotated;
    const signs = this.#signs;
    values.fill(0, this.dimensions);
    for (let i = 0; i < this.dimensions; i++) values[i] = (vector[i] ?? 0) * (signs[i] ?? 0);
    hadamard(values);
    for (let byte = 0; byte < SIGNATURE_BYTES; byte++) {
      let bits = 0;
      for (let bit = 0; bit < 8; bit++) if ((values[byte * 8 + bit] ?? 0) > 0) bits |= 1 << bit;
      target[at + byte] = bits;
    }
  }

  /**
   * Writes the int8 codes of a vector and answers their scale (code × scale ≈ value).
   * `target` may be wider than 8 bits.
   */
  codes(vector: Float32Array, target: Int8Array | Int16Array, at = 0): number {
    let largest = 0;
    for (let i = 0; i < this.dimensions; i++) largest = Math.max(largest, Math.abs(vector[i] ?? 0));
    const inverse = largest === 0 ? 0 : 127 / largest;
    for (let i = 0; i < this.dimensions; i++) {
      target[at + i] = Math.round((vector[i] ?? 0) * inverse);
    }
    target.fill(0, at + this.dimensions, at + this.stride);
    return largest / 127;
  }
}

/** In place, not normalised. */
function hadamard(values: Float64Array): void {
  for (let half = 1; half < values.length; half *= 2) {
    for (let i = 0; i < values.length; i += 2 * half) {
      for (let j = i; j < i + half; j++) {
        const a = values[j] ?? 0;
        const b = values[j + half] ?? 0;
        values[j] = a + b;
        values[j + half] = a - b;
      }
    }
  }
}

/** A copy of length 1; undefined for a vector of length 0 or with values that are no numbers. */
export function normalized(vector: Float32Array): Float32Array | undefined {
  let sum = 0;
  for (let i = 0; i < vector.length; i++) sum += (vector[i] ?? 0) ** 2;
  if (!(sum > 0) || !Number.isFinite(sum)) return undefined;
  const factor = 1 / Math.sqrt(sum);
  const unit = new Float32Array(vector.length);
  for (let i = 0; i < vector.length; i++) unit[i] = (vector[i] ?? 0) * factor;
  return unit;
}
