import { firstHlcOf, hlcToMs } from '@memplane/clock';

/** The start of the history moves when at least this part of the retention is to go. */
const STEPS_PER_RETENTION = 16;

/**
 * What has a running stamp (the newest of its partition up to it) below this one is too old. It is
 * counted from the newest stamp of the partition, not from the clock on the wall: so it is a
 * function of the log, the same in every rebuild, and never goes back. 0n: nothing is too old.
 */
export function expiryLimit(maxHlc: bigint, retentionMs: number): bigint {
  const limitMs = hlcToMs(maxHlc) - retentionMs;
  return retentionMs === 0 || limitMs <= 0 ? 0n : firstHlcOf(limitMs);
}

/**
 * Whether enough of the history is too old for its start to move: each look through what is kept
 * costs, so it is not done for every event that gets too old.
 * @param first the running stamp at the start
 */
export function isMoveDue(first: bigint, limit: bigint, retentionMs: number): boolean {
  return first < limit && (hlcToMs(limit) - hlcToMs(first)) * STEPS_PER_RETENTION >= retentionMs;
}

/** The order in which what is before the new start is removed. */
export const PRUNE_PHASES = ['entities', 'rejected', 'ends', 'former', 'timeline'] as const;
export type PrunePhase = (typeof PRUNE_PHASES)[number];

/** How far a removal has come. It goes on there after a crash; each step may be done twice. */
export interface PruneProgress {
  /** The start of the history before it moved, and now. */
  readonly from: number;
  readonly to: number;
  readonly phase: PrunePhase;
  /** Of phase `entities`: the next offset to look at. */
  readonly next: number;
}

export function encodeProgress(progress: PruneProgress): Buffer {
  return Buffer.from(JSON.stringify({ version: 1, keyId: 0, ...progress }));
}

/** @returns undefined for one that was written otherwise: then the next removal starts over */
export function decodeProgress(row: Buffer): PruneProgress | undefined {
  const { version, keyId, ...progress } = JSON.parse(row.toString()) as PruneProgress & {
    version: number;
    keyId: number;
  };
  return version === 1 && keyId === 0 ? progress : undefined;
}

export function phaseAfter(phase: PrunePhase): PrunePhase | undefined {
  return PRUNE_PHASES[PRUNE_PHASES.indexOf(phase) + 1];
}
