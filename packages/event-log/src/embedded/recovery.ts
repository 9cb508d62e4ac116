import { PARTITIONS_MAX } from '@memplane/contracts';
import { damaged } from './errors.ts';
import type { FileSystem, LogFile } from './file-system.ts';
import {
  decodeSegmentHeader,
  type FrameGroup,
  RECORD_HEADER_BYTES,
  type SegmentHeader,
  segmentHeaderBytes,
} from './format.ts';
import {
  ENTRIES_PER_CHUNK,
  ENTRY_BYTES,
  ENTRY_LOST,
  EntryArray,
  EntryView,
  entryCheck,
} from './index-entry.ts';
import type { IndexFiles } from './index-files.ts';
import type { Manifest } from './manifest.ts';
import type { Mark } from './mark.ts';
import { chunkFile, journalDir, segmentFile, segmentOfName } from './places.ts';
import { type ScanResult, type ScanSink, scanSegment } from './scan.ts';
import { writeEntry } from './stage.ts';

/** What is known of a log once its folder has been brought in order. */
export interface RecoveredLog {
  /** The headers of all segments, in order; never empty. */
  readonly segments: SegmentHeader[];
  readonly file: LogFile;
  /** Where the next frame goes in the last segment. */
  readonly position: number;
  readonly nextCommit: number;
  readonly highestHlc: bigint;
  readonly ends: number[];
  readonly tornBytes: number;
  readonly scannedBytes: number;
  /** The indexes were made anew: what was noted as durable of them no longer is. */
  readonly isRebuilt: boolean;
}

/** Reads all segment headers; removes a last segment that was never begun properly. */
export function readSegments(fs: FileSystem, dir: string, manifest: Manifest): SegmentHeader[] {
  const numbers = fs
    .list(journalDir(dir))
    .map(segmentOfName)
    .filter((segment) => segment !== undefined)
    .sort((a, b) => a - b);
  const segments: SegmentHeader[] = [];
  for (const [i, segment] of numbers.entries()) {
    const header = readSegmentHeader(fs, dir, segment);
    if (header === undefined) {
      const size = fs.sizeOf(segmentFile(dir, segment)) ?? 0;
      const isEmpty = size <= segmentHeaderBytes(manifest.partitions);
      if (i > 0 && i === numbers.length - 1 && isEmpty) {
        fs.remove(segmentFile(dir, segment));
        break;
      }
      throw damaged('The header of a segment of the log is damaged', { segment, position: 0 });
    }
    if (header.segment !== segment || header.logId !== manifest.logId) {
      throw damaged('A segment belongs to another log', { segment, position: 0 });
    }
    if (i > 0 && segment !== (numbers[i - 1] ?? 0) + 1) {
      throw damaged('A segment of the log is missing', { segment: segment - 1 });
    }
    segments.push({ ...header, bases: basesOf(header, manifest) });
  }
  return segments;
}

/** With those of partitions that came later: what they are to hold begins where they were split. */
function basesOf({ bases }: SegmentHeader, { lineage }: Manifest): readonly number[] {
  return lineage === undefined ? bases : [...bases, ...lineage.bases.slice(bases.length)];
}

export function readSegmentHeader(
  fs: FileSystem,
  dir: string,
  segment: number,
): SegmentHeader | undefined {
  const file = fs.open(segmentFile(dir, segment), 'read');
  try {
    const bytes = Buffer.alloc(segmentHeaderBytes(PARTITIONS_MAX));
    const read = file.readSync(bytes, bytes.length, 0);
    return decodeSegmentHeader(bytes.subarray(0, read));
  } finally {
    file.close();
  }
}

/**
 * Brings the indexes up to the journal's end and cuts a torn tail. Where the mark and the indexes
 * agree, as they do after a mere end of the process, only what follows the mark is scanned; else
 * (after a loss of power) all from the last durable state of the indexes on.
 * @throws MemplaneError `storage_damaged`
 */
export function recoverLog(
  fs: FileSystem,
  dir: string,
  manifest: Manifest,
  index: IndexFiles,
  mark: Mark | undefined,
): RecoveredLog {
  const segments = readSegments(fs, dir, manifest);
  const last = segments.at(-1);
  if (last === undefined) {
    throw damaged('The journal of the log has no segment', {});
  }
  const from = startOfScan(fs, dir, manifest, segments, mark);
  const ends = [...from.ends];
  const filler = new IndexFiller(index, manifest.partitions);
  let { nextCommit, highestHlc } = from;
  let tornBytes = 0;
  let scannedBytes = 0;
  let position = from.position;
  for (const [i, header] of segments.entries()) {
    if (header.segment < from.segment) continue;
    const result = scanOne(fs, dir, {
      header,
      next: segments[i + 1],
      from: header.segment === from.segment ? from.position : segmentHeaderBytes(header.partitions),
      syncedBefore: mark?.segment === header.segment ? mark.position : 0,
      nextCommit,
      ends,
      sink: filler.sink(header.segment),
    });
    scannedBytes += result.scannedBytes;
    nextCommit = result.nextCommit;
    if (result.highestHlc > highestHlc) highestHlc = result.highestHlc;
    tornBytes = result.tornBytes;
    position = result.end;
  }
  filler.flush();
  for (let p = 0; p < manifest.partitions; p++) {
    const end = ends[p] ?? 0;
    index.truncate(p, end);
    index.adopt(p, Math.min(end, from.base.bases[p] ?? 0), end);
  }
  const file = fs.open(segmentFile(dir, last.segment), 'write');
  if (tornBytes > 0) file.truncate(position);
  const { isRebuilt } = from;
  return {
    segments,
    file,
    position,
    nextCommit,
    highestHlc,
    ends,
    tornBytes,
    scannedBytes,
    isRebuilt,
  };
}

interface OneSegment {
  readonly header: SegmentHeader;
  readonly next: SegmentHeader | undefined;
  readonly from: number;
  readonly syncedBefore: number;
  readonly nextCommit: number;
  readonly ends: number[];
  readonly sink: ScanSink;
}

function scanOne(
  fs: FileSystem,
  dir: string,
  one: OneSegment,
): ScanResult & { scannedBytes: number } {
  const { segment } = one.header;
  const file = fs.open(segmentFile(dir, segment), 'read');
  try {
    const size = file.size();
    const end = one.next?.previousEnd ?? size;
    const needed = Math.max(one.from, one.syncedBefore, one.next?.previousEnd ?? 0);
    if (size < needed) {
      throw damaged('A segment of the log is cut short', { segment, position: size });
    }
    const isLast = one.next === undefined;
    const result = scanSegment({ ...one, file, segment, end, isLast });
    return { ...result, scannedBytes: end - one.from };
  } finally {
    file.close();
  }
}

interface ScanStart extends Mark {
  /** The segment up to whose beginning the indexes are durable. */
  readonly base: SegmentHeader;
  readonly isRebuilt: boolean;
}

/** Where the scan must begin, with what is known there. */
function startOfScan(
  fs: FileSystem,
  dir: string,
  manifest: Manifest,
  segments: readonly SegmentHeader[],
  mark: Mark | undefined,
): ScanStart {
  const first = segments[0] as SegmentHeader;
  const checkpoint =
    segments.findLast((header) => header.segment <= manifest.indexSyncedBefore) ?? first;
  const isComplete = hasEntries(fs, dir, manifest.starts, checkpoint.bases);
  const base = isComplete ? checkpoint : first;
  const known = mark !== undefined && segments.some((header) => header.segment === mark.segment);
  if (known && isComplete && mark.segment >= base.segment) {
    if (base.bases.every((from, p) => isWhole(fs, dir, p, from, mark.ends[p] ?? 0))) {
      return { ...mark, base, isRebuilt: false };
    }
  }
  return {
    segment: base.segment,
    position: segmentHeaderBytes(base.partitions),
    nextCommit: base.nextCommit,
    highestHlc: base.highestHlc,
    ends: base.bases,
    base,
    isRebuilt: !isComplete,
  };
}

/** Whether index files of the right size are there for all offsets in [from, to). */
function hasEntries(
  fs: FileSystem,
  dir: string,
  from: readonly number[],
  to: readonly number[],
): boolean {
  return to.every((end, partition) => {
    const start = from[partition] ?? 0;
    for (let at = start - (start % ENTRIES_PER_CHUNK); at < end; at += ENTRIES_PER_CHUNK) {
      const size = fs.sizeOf(chunkFile(dir, partition, at / ENTRIES_PER_CHUNK)) ?? 0;
      if (size < Math.min(end - at, ENTRIES_PER_CHUNK) * ENTRY_BYTES) return false;
    }
    return true;
  });
}

/** Whether a partition's index holds an intact entry for each offset in [from, to). */
function isWhole(
  fs: FileSystem,
  dir: string,
  partition: number,
  from: number,
  to: number,
): boolean {
  let at = from;
  while (at < to) {
    const chunk = Math.floor(at / ENTRIES_PER_CHUNK);
    const end = Math.min(to, (chunk + 1) * ENTRIES_PER_CHUNK);
    const path = chunkFile(dir, partition, chunk);
    if (fs.sizeOf(path) === undefined) return false;
    const file = fs.open(path, 'read');
    try {
      const bytes = Buffer.allocUnsafeSlow((end - at) * ENTRY_BYTES);
      const position = (at % ENTRIES_PER_CHUNK) * ENTRY_BYTES;
      if (file.readSync(bytes, bytes.length, position) < bytes.length) return false;
      const view = new EntryView(bytes);
      for (let i = 0; i < end - at; i++) if (!view.intact(i)) return false;
    } finally {
      file.close();
    }
    at = end;
  }
  return true;
}

const FLUSH_ENTRIES = 4096;

/** Collects the index entries of scanned records and writes them in pieces. */
class IndexFiller {
  readonly #index: IndexFiles;
  readonly #entries: (EntryArray | undefined)[];
  readonly #firsts: number[] = [];

  constructor(index: IndexFiles, partitions: number) {
    this.#index = index;
    this.#entries = new Array(partitions);
  }

  sink(segment: number): ScanSink {
    return {
      record: (group, bytes, at, length, position) => {
        const offset = bytes.readUInt32LE(at + 20) + bytes.readUInt32LE(at + 24) * 0x1_0000_0000;
        this.#add(group.partition, offset, (entries, entry) => {
          writeEntry(entries, entry, bytes, at, length);
          finish(entries, entry, segment, position);
        });
      },
      lost: (group, first, count, position) => this.#lost(segment, group, first, count, position),
    };
  }

  flush(): void {
    for (const partition of this.#entries.keys()) this.#flush(partition);
  }

  #lost(segment: number, group: FrameGroup, first: number, count: number, position: number): void {
    for (let i = 0; i < count; i++) {
      this.#add(group.partition, first + i, (entries, entry) => {
        entries.bytes.fill(0, entry, entry + ENTRY_BYTES);
        entries.words[entry / 4 + 3] = RECORD_HEADER_BYTES;
        entries.words[entry / 4 + 4] = ENTRY_LOST;
        finish(entries, entry, segment, position);
      });
    }
  }

  #add(
    partition: number,
    offset: number,
    fill: (entries: EntryArray, entry: number) => void,
  ): void {
    const entries = this.#entries[partition] ?? new EntryArray(64);
    this.#entries[partition] = entries;
    if (entries.count === 0) this.#firsts[partition] = offset;
    fill(entries, entries.grow());
    if (entries.count >= FLUSH_ENTRIES) this.#flush(partition);
  }

  #flush(partition: number): void {
    const entries = this.#entries[partition];
    if (entries === undefined || entries.count === 0) return;
    const bytes = entries.bytes.subarray(0, entries.count * ENTRY_BYTES);
    this.#index.write(partition, this.#firsts[partition] ?? 0, bytes);
    entries.count = 0;
  }
}

function finish(entries: EntryArray, entry: number, segment: number, position: number): void {
  const word = entry / 4;
  entries.words[word + 1] = segment;
  entries.words[word + 2] = position;
  entries.words[word] = entryCheck(entries.words, word);
}
