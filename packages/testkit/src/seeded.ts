import { seededRandom } from './vectors.ts';

/** Choices that a seed repeats: a failing run is run again by its printed seed. */
export interface Seeded {
  readonly seed: number;
  /** A number in [0, 1). */
  next(): number;
  /** A whole number from `low` to `high`, both included. */
  int(low: number, high: number): number;
  chance(probability: number): boolean;
  pick<T>(items: readonly T[]): T;
  /** A shuffled copy (Fisher-Yates). */
  shuffle<T>(items: readonly T[]): T[];
  /** Lower-case letters and digits. */
  word(length: number): string;
  /** An independent stream for one worker. */
  fork(worker: number): Seeded;
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789';

/** Takes the seed from `MEMPLANE_TEST_SEED`, else makes one, and prints it. */
export function testSeed(name: string): Seeded {
  const given = process.env['MEMPLANE_TEST_SEED'];
  const seed = given === undefined ? Math.floor(Math.random() * 0xffff_ffff) : Number(given);
  console.log(`# ${name}: seed ${seed} (repeat with MEMPLANE_TEST_SEED=${seed})`);
  return seeded(seed);
}

export function seeded(seed: number): Seeded {
  const next = seededRandom(seed);
  const int = (low: number, high: number) => low + Math.floor(next() * (high - low + 1));
  return {
    seed,
    next,
    int,
    chance: (probability) => next() < probability,
    pick(items) {
      const item = items[int(0, items.length - 1)];
      if (item === undefined) throw new RangeError('nothing to pick from');
      return item;
    },
    shuffle<T>(items: readonly T[]) {
      const copy = [...items];
      for (let i = copy.length - 1; i > 0; i--) {
        const j = int(0, i);
        [copy[i], copy[j]] = [copy[j] as T, copy[i] as T];
      }
      return copy;
    },
    word: (length) => Array.from({ length }, () => LETTERS[int(0, 35)]).join(''),
    fork: (worker) => seeded((seed ^ Math.imul(worker + 1, 0x9e3779b1)) >>> 0),
  };
}
