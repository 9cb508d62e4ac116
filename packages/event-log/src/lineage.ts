import { partitionOf } from './murmur2.ts';

/**
 * How the partitions of a log that grew came about. Each doubling splits every partition *p* of N
 * into *p* and *p + N*; the new one's offsets go on where its parent was split, so that positions of
 * an entity only ever rise, and what is before the split is read from the parent.
 */
export interface Lineage {
  /** How many partitions the log began with. */
  readonly partitionsInitial: number;
  /** By partition: the first offset of its own; 0 for those that the log began with. */
  readonly bases: readonly number[];
}

/** The partition that one was split from; undefined for those that the log began with. */
export function parentOf({ partitionsInitial }: Lineage, partition: number): number | undefined {
  if (partition < partitionsInitial) return undefined;
  let before = partitionsInitial;
  while (2 * before <= partition) before *= 2;
  return partition - before;
}

/** A partition and those that it came out of, the one that the log began with last. */
export function lineOf(lineage: Lineage, partition: number): number[] {
  const parent = parentOf(lineage, partition);
  return parent === undefined ? [partition] : [partition, ...lineOf(lineage, parent)];
}

/** Where a partition's record at an offset is: in its own, or in one that it came out of. */
export function homeOf(lineage: Lineage, partition: number, offset: number): number {
  let home = partition;
  while (offset < (lineage.bases[home] ?? 0)) home = parentOf(lineage, home) ?? home;
  return home;
}

/**
 * The first offset above `offset` at which a partition's records may be in another home: reads end
 * there and begin anew. Infinity: never.
 */
export function homeEnd(lineage: Lineage, partition: number, offset: number): number {
  let end = Number.POSITIVE_INFINITY;
  for (const p of lineOf(lineage, partition)) {
    const base = lineage.bases[p] ?? 0;
    if (base > offset) end = base;
  }
  return end;
}

/**
 * The barrier of a partition: its first offset that no longer belongs to the epoch in which the log
 * had `partitionsThen` partitions. Undefined: that epoch goes on.
 */
export function barrierOf(
  lineage: Lineage | undefined,
  partition: number,
  partitionsThen: number,
): number | undefined {
  return lineage?.bases[partition + partitionsThen];
}

/** The lineage after one more doubling, at the ends that the partitions have. */
export function grownLineage(before: Lineage | undefined, ends: readonly number[]): Lineage {
  const bases = before?.bases ?? ends.map(() => 0);
  return {
    partitionsInitial: before?.partitionsInitial ?? ends.length,
    bases: [...bases, ...ends],
  };
}

/**
 * Whether a record of before a split has gone to another partition: then it is read, as it lies
 * among the others, and counts for nothing there but as an offset.
 */
export function isForeign(key: string, partition: number, partitions: number): boolean {
  return partitionOf(key, partitions) !== partition;
}

/** A stretch of a partition's records that lies in one home. */
export interface Stretch {
  readonly home: number;
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
}

/** Where the offsets from `from` on, up to `to`, are: the first stretch of them. */
export function stretchAt(
  lineage: Lineage | undefined,
  partition: number,
  from: number,
  to: number,
): Stretch {
  if (lineage === undefined) return { home: partition, from, to };
  const end = homeEnd(lineage, partition, from);
  return { home: homeOf(lineage, partition, from), from, to: Math.min(to, end) };
}

/**
 * The first offset of a partition that can be read, by what there is of each partition's own: as long
 * as all of its own is there, what its parent still has comes before.
 * @param ownStart the first offset of a partition's own records that can be read
 */
export function startOf(
  lineage: Lineage | undefined,
  partition: number,
  ownStart: (partition: number) => number,
): number {
  const own = ownStart(partition);
  const parent = lineage === undefined ? undefined : parentOf(lineage, partition);
  const base = lineage?.bases[partition] ?? 0;
  if (parent === undefined || own > base) return own;
  return Math.min(base, startOf(lineage, parent, ownStart));
}
