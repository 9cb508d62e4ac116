import { normalized } from './quantize.ts';

/** Why a vector can't be used. */
export type VectorFault = 'wrong_dimensions' | 'not_finite' | 'zero_length';

/**
 * Reads a vector as the API has it (numbers, or base64 of little-endian float32) and scales it to
 * length 1, so that a dot product is the cosine.
 */
export function readVector(
  values: readonly number[] | string,
  dimensions: number,
): Float32Array | VectorFault {
  const vector = typeof values === 'string' ? fromBase64(values) : Float32Array.from(values);
  if (vector === undefined || vector.length !== dimensions) return 'wrong_dimensions';
  if (!vector.every(Number.isFinite)) return 'not_finite';
  return normalized(vector) ?? 'zero_length';
}

function fromBase64(text: string): Float32Array | undefined {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length % 4 !== 0) return undefined;
  const vector = new Float32Array(bytes.length / 4);
  for (let i = 0; i < vector.length; i++) vector[i] = bytes.readFloatLE(i * 4);
  return vector;
}
