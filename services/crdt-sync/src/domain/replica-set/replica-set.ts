/** Of which replicas quorums are majorities. */
export interface ReplicaSet {
  /** Counts up with each change; 0: set for this replica, and never changed. */
  readonly version: number;
  /** In order. */
  readonly replicas: readonly string[];
}

/** The version that all begin with, and that replicas of before the record go by without saying so. */
export const FIRST_VERSION = 1;

/** How many replicas are a majority. */
export function majorityOf(replicas: readonly string[]): number {
  return Math.floor(replicas.length / 2) + 1;
}

export function othersOf({ replicas }: ReplicaSet, self: string): string[] {
  return replicas.filter((id) => id !== self);
}

/** How many of the others a majority takes. */
export function othersNeeded({ replicas }: ReplicaSet, self: string): number {
  return majorityOf(replicas) - (replicas.includes(self) ? 1 : 0);
}
