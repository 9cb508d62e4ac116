/** A place in one partition of one log. `offset` is the last one applied, inclusive; -1: none. */
export interface Position {
  readonly logId: string;
  readonly epoch: number;
  readonly partition: number;
  readonly offset: number;
}

/** Orders positions of one log and partition by (epoch, offset). */
export function comparePositions(
  a: Pick<Position, 'epoch' | 'offset'>,
  b: Pick<Position, 'epoch' | 'offset'>,
): number {
  return a.epoch - b.epoch || a.offset - b.offset;
}

/**
 * For each partition, all events up to and including one offset. A partition that is not named is
 * unconstrained in an `after`, and empty (-1) in a complete cut.
 */
export interface Cut {
  readonly logId: string;
  readonly epoch: number;
  /** partition → last included offset */
  readonly offsets: ReadonlyMap<number, number>;
  /** The time (ms since 1970) at which `ttl` is judged; absent: the cut's own newest stamp. */
  readonly timeMs?: number;
}
