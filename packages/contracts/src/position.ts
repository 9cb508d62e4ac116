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
  /** How many partitions the log has in that epoch; absent: not told, as in tokens of epoch 0. */
  readonly partitions?: number;
  /** partition → last included offset */
  readonly offsets: ReadonlyMap<number, number>;
  /** The time (ms since 1970) at which `ttl` is judged; absent: the cut's own newest stamp. */
  readonly timeMs?: number;
}

/** What a log may have. */
export const PARTITIONS_MAX = 4096;

/** How many partitions a log has, and since when: each doubling raises its epoch by one. */
export interface LogShape {
  readonly epoch: number;
  readonly partitions: number;
}

/**
 * The same cut in a later epoch of its log. The offsets of a partition that opens go on where its
 * parent was split, so what included an offset of *p* includes that offset of *p* and of every
 * partition that came out of it.
 * @param cut of that epoch or an earlier one
 */
export function cutInEpoch(cut: Cut, { epoch, partitions }: LogShape): Cut {
  if (cut.epoch >= epoch) return cut;
  const before = cut.partitions ?? partitions / 2 ** (epoch - cut.epoch);
  const offsets = new Map<number, number>();
  for (const [partition, offset] of cut.offsets) {
    for (let p = partition; p < partitions; p += before) {
      offsets.set(p, Math.max(offset, offsets.get(p) ?? -1));
    }
  }
  return { ...cut, epoch, partitions, offsets };
}
