import { compareText } from './dot.ts';

/** A partition's part of a log-derived counter, as of a position of the log. */
export interface LogPart {
  readonly epoch: number;
  readonly offset: number;
  readonly value: number;
}

/**
 * The parts of one log. They are a function of the log, so the higher (epoch, offset) wins and any
 * repetition or reordering is harmless. `generation` is raised when an operator moves the counter
 * to another log; the higher (generation, logId) wins whole.
 */
export interface LogParts {
  generation: number;
  logId: string;
  byPartition: Map<number, LogPart>;
}

export function cloneParts(parts: LogParts): LogParts {
  return { ...parts, byPartition: new Map(parts.byPartition) };
}

export function sumOfParts(parts: LogParts | undefined): bigint {
  let sum = 0n;
  if (parts) for (const part of parts.byPartition.values()) sum += BigInt(part.value);
  return sum;
}

/** Joins in place. Returns whether `target` grew. */
export function joinPartsInto(target: LogParts, source: LogParts): boolean {
  const order = source.generation - target.generation || compareText(source.logId, target.logId);
  if (order < 0) return false;
  if (order > 0) {
    target.generation = source.generation;
    target.logId = source.logId;
    target.byPartition = new Map(source.byPartition);
    return true;
  }
  let grew = false;
  for (const [partition, theirs] of source.byPartition) {
    const mine = target.byPartition.get(partition);
    if (mine === undefined || compareParts(theirs, mine) > 0) {
      target.byPartition.set(partition, theirs);
      grew = true;
    }
  }
  return grew;
}

/** By position. The value only decides between parts that should be equal and are not. */
export function compareParts(a: LogPart, b: LogPart): number {
  return a.epoch - b.epoch || a.offset - b.offset || a.value - b.value;
}
