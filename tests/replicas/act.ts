/** One mutation, as the test knows it. Times are of one monotonic clock. */
export interface Act {
  readonly replica: string;
  readonly startMs: number;
  /** When it was answered, or its replica was known to be gone: it happened before, or never. */
  readonly endMs: number;
  /** Answered, and not lost with a tail since; else it may be there or not. */
  isDone: boolean;
  /** How often its replica had lost a tail before. */
  readonly life: number;
  /** How often all replicas had been found equal before it began. */
  readonly epoch: number;
  /** Its replica had lost all since then, and may not have it again yet. */
  readonly isBehind: boolean;
  /** Set where, as long as it took, only these replicas heard each other. */
  readonly side: Side | undefined;
}

/** The replicas of one side of one cut. */
export interface Side {
  readonly cut: number;
  readonly ids: readonly string[];
}

/** Whether the replica of `later` certainly had `earlier` when it did it. */
export function surelySaw(later: Act, earlier: Act): boolean {
  const isOfSameLife = later.replica === earlier.replica && later.life === earlier.life;
  const isAfter = isOfSameLife && later.startMs > earlier.endMs;
  return isAfter || (later.epoch > earlier.epoch && !later.isBehind);
}

/** Whether the replica of `later` may have had `earlier` when it did it. */
export function maySee(later: Act, earlier: Act): boolean {
  if (later.endMs < earlier.startMs) return false;
  const [one, other] = [later.side, earlier.side];
  const isApart = one && other && one.cut === other.cut && one.ids !== other.ids;
  return !isApart;
}
