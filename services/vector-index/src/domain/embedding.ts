import { endianness } from 'node:os';
import { normalized } from './quantize.ts';

const IS_BIG_ENDIAN = endianness() === 'BE';

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
  return normalized(vector) ?? (vector.every(Number.isFinite) ? 'zero_length' : 'not_finite');
}

function fromBase64(text: string): Float32Array | undefined {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length % 4 !== 0) return undefined;
  if (IS_BIG_ENDIAN) bytes.swap32();
  const { buffer, byteOffset, length } = bytes;
  if (byteOffset % 4 === 0) return new Float32Array(buffer, byteOffset, length / 4);
  return new Float32Array(buffer.slice(byteOffset, byteOffset + length));
}
