import type { PlaneState } from './plane-state.ts';

export type Severity = 'error' | 'warning';

/** One thing that is not as it should be. Codes are stable; docs/operations.md has them all. */
export interface Finding {
  readonly code: string;
  readonly severity: Severity;
  /** Which service, shard, replica, entity or folder. */
  readonly about: string;
  readonly detail: string;
  readonly advice: string;
}

/** One look at a plane. What it can not look at it throws. */
export interface Check {
  readonly name: string;
  run(plane: PlaneState): Promise<readonly Finding[]>;
}

/** A check that had nothing to look at here, and why. */
export class NotHere extends Error {
  override readonly name = 'NotHere';
}
