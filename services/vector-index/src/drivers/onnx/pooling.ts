import type { Pooling } from './folder.ts';

/**
 * One vector a text from the vectors of its tokens, before any scaling.
 * @param states `[texts, tokens, dimensions]`, row by row
 * @param lengths how many tokens of each text are its own; the rest fills up
 */
export function pool(
  states: Float32Array,
  dimensions: number,
  tokens: number,
  lengths: readonly number[],
  pooling: Pooling,
): Float32Array[] {
  return lengths.map((length, text) => {
    const first = text * tokens * dimensions;
    if (pooling === 'cls') return states.slice(first, first + dimensions);
    const sum = new Float64Array(dimensions);
    for (let token = 0; token < length; token++) {
      const at = first + token * dimensions;
      for (let d = 0; d < dimensions; d++) sum[d] = (sum[d] ?? 0) + (states[at + d] ?? 0);
    }
    return Float32Array.from(sum, (value) => value / Math.max(1, length));
  });
}
