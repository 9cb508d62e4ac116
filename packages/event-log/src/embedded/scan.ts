import { damaged } from './errors.ts';
import type { LogFile } from './file-system.ts';
import { FileWindow } from './file-window.ts';
import {
  decodeFooter,
  decodeFrameHeader,
  FOOTER_BYTES,
  FRAME_HEADER_BYTES,
  type FrameGroup,
  type FrameHeader,
  frameHeaderBytes,
  isIntactRecord,
  SECTOR_BYTES,
} from './format.ts';

/** What a scan tells of the records it meets, in journal order. */
export interface ScanSink {
  record(group: FrameGroup, bytes: Buffer, at: number, length: number, position: number): void;
  /** `count` records from `first` on can't be read; what is left of them begins at `position`. */
  lost(group: FrameGroup, first: number, count: number, position: number): void;
}

export interface ScanInput {
  readonly file: LogFile;
  readonly segment: number;
  readonly from: number;
  /** Where the segment's frames end: the file's size for the last segment. */
  readonly end: number;
  /** Only the last segment of a journal can have a torn tail. */
  readonly isLast: boolean;
  /** Frames that begin below this are known to have been synced. */
  readonly syncedBefore: number;
  readonly nextCommit: number;
  /** The next offset per partition; moved on by the scan. */
  readonly ends: number[];
  readonly sink: ScanSink;
}

export interface ScanResult {
  /** Where the next frame goes. */
  readonly end: number;
  /** Bytes of a commit that was never finished and is to be cut off. */
  readonly tornBytes: number;
  readonly nextCommit: number;
  /** 0n when no frame was met. */
  readonly highestHlc: bigint;
}

/**
 * Walks the frames of one segment.
 *
 * One frame at a time is written, and the next one only after its sync, so the journal's last frame
 * alone may be unfinished. A frame that does not hold is **torn**, and cut, when it is the last and
 * shows what an unfinished write looks like: bytes missing at the file's end, or whole sectors still
 * zero where its checks fail. Anything else, and anything that is known to have been synced, is
 * **damage**: it is never cut. Records that are still whole in such a frame are kept; where its
 * header does not hold, the scan ends with an error, as what follows can't be numbered.
 *
 * @throws MemplaneError `storage_damaged` with the place.
 */
export function scanSegment(input: ScanInput): ScanResult {
  const window = new FileWindow(input.file);
  let position = input.from;
  let nextCommit = input.nextCommit;
  let highestHlc = 0n;
  while (position < input.end) {
    const frame = readHeader(window, position, input.end);
    if (frame === undefined || position + frame.length > input.end) {
      if (isTorn(window, input, position, frame)) break;
      throw damaged('A commit of the log is damaged', { segment: input.segment, position });
    }
    if (frame.commit !== nextCommit) {
      throw damaged('A commit of the log is out of order', { segment: input.segment, position });
    }
    if (!takeFrame(window, input, position, frame)) break;
    position += frame.length;
    nextCommit += 1;
    if (frame.highestHlc > highestHlc) highestHlc = frame.highestHlc;
  }
  return { end: position, tornBytes: input.end - position, nextCommit, highestHlc };
}

function readHeader(window: FileWindow, position: number, end: number): FrameHeader | undefined {
  const start = window.at(position, Math.min(FRAME_HEADER_BYTES, end - position));
  if (start.length < FRAME_HEADER_BYTES) return undefined;
  const length = Math.min(frameHeaderBytes(start.readUInt16LE(14)), end - position);
  return decodeFrameHeader(window.at(position, length));
}

/** For a frame that has no intact header, or that reaches beyond the end. */
function isTorn(
  window: FileWindow,
  input: ScanInput,
  position: number,
  frame: FrameHeader | undefined,
): boolean {
  if (!input.isLast || position < input.syncedBefore) return false;
  if (frame !== undefined) return true; // its end is missing
  const left = input.end - position;
  if (left < FRAME_HEADER_BYTES) return true;
  const footer = decodeFooter(window.at(input.end - FOOTER_BYTES, FOOTER_BYTES));
  if (footer !== undefined && footer.length === left) {
    return hasUnwrittenSector(window, position, position + FRAME_HEADER_BYTES, position, input.end);
  }
  const declared = frameHeaderBytes(window.at(position, FRAME_HEADER_BYTES).readUInt16LE(14));
  const header = Math.min(declared, left);
  // a prefix of the header only, or one with sectors that never reached the disk
  return (
    declared > left || hasUnwrittenSector(window, position, position + header, position, input.end)
  );
}

/** Whether a sector that overlaps [from, to) is all zero, within what the frame may occupy. */
function hasUnwrittenSector(
  window: FileWindow,
  from: number,
  to: number,
  frameStart: number,
  end: number,
): boolean {
  for (let at = from - (from % SECTOR_BYTES); at < to; at += SECTOR_BYTES) {
    const start = Math.max(at, frameStart);
    const bytes = window.at(start, Math.min(at + SECTOR_BYTES, end) - start);
    if (bytes.length > 0 && bytes.every((byte) => byte === 0)) return true;
  }
  return false;
}

interface LostPart {
  readonly group: FrameGroup;
  readonly first: number;
  readonly position: number;
  readonly bytes: number;
}

/** Hands a whole frame's records to the sink; false when the frame is torn (nothing handed). */
function takeFrame(
  window: FileWindow,
  input: ScanInput,
  position: number,
  frame: FrameHeader,
): boolean {
  const bytes = window.at(position, frame.length);
  const lost = findLost(bytes, input, position, frame);
  const footerAt = frame.length - FOOTER_BYTES;
  const footer = decodeFooter(bytes.subarray(footerAt));
  const footerHolds = footer?.commit === frame.commit && footer.headerCrc === frame.crc;
  if ((lost.length > 0 || !footerHolds) && input.isLast && position >= input.syncedBefore) {
    const parts = lost.map((part) => [part.position, part.position + part.bytes] as const);
    if (!footerHolds) parts.push([position + footerAt, position + frame.length]);
    const end = position + frame.length;
    // the window moves in these checks: `bytes` is not used after one that says false
    if (parts.some(([from, to]) => hasUnwrittenSector(window, from, to, position, end)))
      return false;
  }
  handOver(window.at(position, frame.length), input, position, frame, lost);
  return true;
}

function findLost(
  bytes: Buffer,
  input: ScanInput,
  position: number,
  frame: FrameHeader,
): LostPart[] {
  const lost: LostPart[] = [];
  let at = frame.headerBytes;
  for (const group of frame.groups) {
    if (group.firstOffset !== input.ends[group.partition]) {
      throw damaged('A commit of the log does not follow its predecessor', {
        segment: input.segment,
        position,
        partition: group.partition,
        offset: group.firstOffset,
      });
    }
    const end = at + group.bytes;
    for (let i = 0; i < group.count; i++) {
      const offset = group.firstOffset + i;
      if (!isIntactRecord(bytes, at, end - at, group.partition, offset)) {
        lost.push({ group, first: offset, position: position + at, bytes: end - at });
        break;
      }
      at += bytes.readUInt32LE(at + 4);
    }
    at = end;
  }
  return lost;
}

function handOver(
  bytes: Buffer,
  input: ScanInput,
  position: number,
  frame: FrameHeader,
  lost: readonly LostPart[],
): void {
  let at = frame.headerBytes;
  for (const group of frame.groups) {
    const end = at + group.bytes;
    const broken = lost.find((part) => part.group === group);
    const next = group.firstOffset + group.count;
    const whole = (broken?.first ?? next) - group.firstOffset;
    for (let i = 0; i < whole; i++) {
      const length = bytes.readUInt32LE(at + 4);
      input.sink.record(group, bytes, at, length, position + at);
      at += length;
    }
    if (broken) input.sink.lost(group, broken.first, next - broken.first, broken.position);
    input.ends[group.partition] = next;
    at = end;
  }
}
