import { firstHlcOf, type Hlc } from '@memplane/clock';

/** A segment of a log, as far as a policy of retention is concerned. */
export interface SegmentSummary {
  readonly segment: number;
  readonly bytes: number;
  /** The first offset that the segment may hold, per partition. */
  readonly firstOffsets: readonly number[];
  /** No record of the segment has a higher stamp. */
  readonly newestHlc: Hlc;
}

export interface RetentionPolicy {
  /** Segments whose newest record is older than this may go, in milliseconds. */
  readonly ageMsMax?: number;
  /** The oldest segments may go while the log is larger than this, in bytes. */
  readonly bytesMax?: number;
}

/**
 * The first offset to keep, per partition, so that whole segments become free: those that the
 * policy's age or size lets go, from the oldest on. The last segment always stays. Undefined when
 * nothing may go. Pure; the caller hands the offsets to `LogAdmin.deleteRecordsBefore`.
 */
export function retentionCut(
  segments: readonly SegmentSummary[],
  policy: RetentionPolicy,
  nowMs: number,
): readonly number[] | undefined {
  const { ageMsMax, bytesMax } = policy;
  const oldest =
    ageMsMax === undefined ? 0n : firstHlcOf(Math.max(0, Math.trunc(nowMs - ageMsMax)));
  let bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
  let cut: readonly number[] | undefined;
  for (const [i, segment] of segments.entries()) {
    const next = segments[i + 1];
    const isOld = segment.newestHlc < oldest;
    const isTooMuch = bytesMax !== undefined && bytes > bytesMax;
    if (next === undefined || !(isOld || isTooMuch)) break;
    cut = next.firstOffsets;
    bytes -= segment.bytes;
  }
  return cut;
}
