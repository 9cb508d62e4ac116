import type { RegisterVersion } from './register-state.ts';

/**
 * What is known of an incarnation that writes a register: its last write, and whether that still
 * stands. The mark is one number, twice the sequence of the write and one more where it was taken
 * away; of two marks the higher is what both have seen.
 */
export interface Mark {
  readonly mark: number;
  /** The last write, where it stands. */
  readonly standing: RegisterVersion | undefined;
}

/** Twice as much is still exact. */
export const LAST_MAX = 2 ** 51;

export function markOf(last: number, standing: RegisterVersion | undefined): Mark {
  return { mark: last * 2 + (standing === undefined ? 1 : 0), standing };
}

/** The sequence of the write that a mark is about. */
export function lastOf({ mark }: Mark): number {
  return Math.floor(mark / 2);
}
