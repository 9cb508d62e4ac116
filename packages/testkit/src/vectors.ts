/**
 * Vectors that behave like embeddings, from a seed. Embeddings are not uniform noise: they lie in
 * clusters near a surface of few dimensions. Here a latent point of {@link LATENT_DIMENSIONS}
 * dimensions is drawn around one of `clusters` centres (as far apart as a cluster is wide), taken
 * through a fixed random map and `tanh` (so that the surface is bent), jittered with isotropic
 * noise (3 % a coordinate), and scaled to length 1. The intrinsic dimension that the Levina–Bickel
 * estimator finds is about 30; vectors.test.ts checks it.
 */
export interface VectorSource {
  readonly dimensions: number;
  /** Writes the next vector (length 1) to `target` at `at` (a float index). */
  next(target: Float32Array, at?: number): void;
}

export interface VectorOptions {
  readonly seed: number;
  readonly dimensions?: number;
  readonly clusters?: number;
  /** Vectors of one `shape` lie on the same surface; `seed` then only says which of them come. */
  readonly shape?: number;
}

/** The next vector, in the form that an event carries it: base64 of little-endian float32. */
export function nextAsBase64(source: VectorSource): string {
  const vector = new Float32Array(source.dimensions);
  source.next(vector);
  return Buffer.from(vector.buffer).toString('base64');
}

export const LATENT_DIMENSIONS = 40;
const CENTRE_SPREAD = 1;
const POINT_SPREAD = 1;
const NOISE = 0.03;

/** Mulberry32: a small seeded generator of numbers in [0, 1). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Standard normal numbers by Marsaglia's polar method. */
export function seededNormal(seed: number): () => number {
  const random = seededRandom(seed);
  let spare: number | undefined;
  return () => {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    for (;;) {
      const u = 2 * random() - 1;
      const v = 2 * random() - 1;
      const s = u * u + v * v;
      if (s >= 1 || s === 0) continue;
      const factor = Math.sqrt((-2 * Math.log(s)) / s);
      spare = v * factor;
      return u * factor;
    }
  };
}

/** An endless, repeatable source of clustered unit vectors. */
export function clusteredVectors(options: VectorOptions): VectorSource {
  const dimensions = options.dimensions ?? 768;
  const clusters = options.clusters ?? 100;
  const shape = seededNormal((options.shape ?? 1) * 7919);
  const map = fill(new Float32Array(dimensions * LATENT_DIMENSIONS), shape);
  for (let i = 0; i < map.length; i++) map[i] = (map[i] ?? 0) / Math.sqrt(LATENT_DIMENSIONS);
  const centres = fill(new Float32Array(clusters * LATENT_DIMENSIONS), shape);
  const normal = seededNormal(options.seed);
  const pick = seededRandom(options.seed ^ 0x9e3779b9);
  const latent = new Float32Array(LATENT_DIMENSIONS);
  const noise = NOISE;
  return {
    dimensions,
    next(target, at = 0) {
      const centre = Math.floor(pick() * clusters) * LATENT_DIMENSIONS;
      for (let k = 0; k < LATENT_DIMENSIONS; k++) {
        latent[k] = (centres[centre + k] ?? 0) * CENTRE_SPREAD + POINT_SPREAD * normal();
      }
      let norm = 0;
      for (let d = 0, m = 0; d < dimensions; d++) {
        let sum = 0;
        for (let k = 0; k < LATENT_DIMENSIONS; k++, m++) sum += (map[m] ?? 0) * (latent[k] ?? 0);
        const value = Math.tanh(sum) + noise * normal();
        target[at + d] = value;
        norm += value * value;
      }
      const scale = 1 / Math.sqrt(norm);
      for (let d = 0; d < dimensions; d++) target[at + d] = (target[at + d] ?? 0) * scale;
    },
  };
}

/** `count` vectors in one array, one after the other. */
export function vectorMatrix(count: number, options: VectorOptions): Float32Array {
  const source = clusteredVectors(options);
  const matrix = new Float32Array(count * source.dimensions);
  for (let i = 0; i < count; i++) source.next(matrix, i * source.dimensions);
  return matrix;
}

function fill(target: Float32Array, normal: () => number): Float32Array {
  for (let i = 0; i < target.length; i++) target[i] = normal();
  return target;
}
