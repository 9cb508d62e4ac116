import { PARTITIONS_MAX } from '@memplane/contracts';
import type { FileSystem } from './file-system.ts';
import { FileWindow } from './file-window.ts';
import {
  decodeFrameHeader,
  decodeSegmentHeader,
  FRAME_HEADER_BYTES,
  type FrameGroup,
  frameHeaderBytes,
  isIntactRecord,
  segmentHeaderBytes,
} from './format.ts';
import { journalDir, segmentFile, segmentOfName } from './places.ts';

/** Where a record lies. */
export interface Place {
  readonly segment: number;
  /** In bytes from the segment's beginning. */
  readonly position: number;
  readonly length: number;
}

/**
 * Finds a record without the index, whose entry for it is damaged: by the segments' headers, then
 * from frame to frame. It takes as long as reading the headers of a segment's frames does.
 * @returns undefined where the journal's own bytes do not lead to an intact record
 */
export function findInJournal(
  fs: FileSystem,
  dir: string,
  partition: number,
  offset: number,
): Place | undefined {
  const segments = fs
    .list(journalDir(dir))
    .map(segmentOfName)
    .filter((segment) => segment !== undefined)
    .sort((a, b) => b - a);
  for (const segment of segments) {
    const file = fs.open(segmentFile(dir, segment), 'read');
    try {
      const window = new FileWindow(file);
      const header = decodeSegmentHeader(window.at(0, segmentHeaderBytes(PARTITIONS_MAX)));
      if (header === undefined) return undefined;
      // The newest segment that can hold it is the one that does.
      if ((header.bases[partition] ?? 0) > offset) continue;
      const from = segmentHeaderBytes(header.partitions);
      const found = findInSegment(window, from, partition, offset);
      return found && { segment, ...found };
    } finally {
      file.close();
    }
  }
  return undefined;
}

type PlaceWithin = Omit<Place, 'segment'>;

function findInSegment(
  window: FileWindow,
  from: number,
  partition: number,
  offset: number,
): PlaceWithin | undefined {
  for (let position = from; ; ) {
    const start = window.at(position, FRAME_HEADER_BYTES);
    if (start.length < FRAME_HEADER_BYTES) return undefined;
    const frame = decodeFrameHeader(window.at(position, frameHeaderBytes(start.readUInt16LE(14))));
    if (frame === undefined) return undefined;
    let at = position + frame.headerBytes;
    for (const group of frame.groups) {
      const within = offset - group.firstOffset;
      if (group.partition === partition && within >= 0 && within < group.count) {
        return findInGroup(window, at, group, offset);
      }
      at += group.bytes;
    }
    position += frame.length;
  }
}

function findInGroup(
  window: FileWindow,
  position: number,
  group: FrameGroup,
  offset: number,
): PlaceWithin | undefined {
  const bytes = window.at(position, group.bytes);
  let at = 0;
  for (let next = group.firstOffset; ; next++) {
    if (!isIntactRecord(bytes, at, bytes.length - at, group.partition, next)) return undefined;
    const length = bytes.readUInt32LE(at + 4);
    if (next === offset) return { position: position + at, length };
    at += length;
  }
}
