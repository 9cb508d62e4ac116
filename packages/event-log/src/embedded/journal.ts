import type { LogShape } from '@memplane/contracts';
import type { FileSystem, LogFile } from './file-system.ts';
import { encodeSegmentHeader, type SegmentHeader, segmentHeaderBytes } from './format.ts';
import { journalDir, segmentFile } from './places.ts';

/** Makes a segment with nothing but its header, durable in name and content. */
export async function createSegment(
  fs: FileSystem,
  dir: string,
  header: SegmentHeader,
): Promise<LogFile> {
  const path = segmentFile(dir, header.segment);
  const file = fs.open(path, 'create');
  try {
    await file.write([encodeSegmentHeader(header)], 0);
    await file.sync();
    await fs.syncDir(journalDir(dir));
    return file;
  } catch (error) {
    file.close();
    fs.remove(path);
    throw error;
  }
}

type JournalState = Pick<SegmentHeader, 'nextCommit' | 'highestHlc' | 'bases'> & LogShape;

/**
 * The end of the journal, where frames are added. A frame is either durable, or it is as if it had
 * never been written: after a failed write the segment is cut back; after a failed sync it is not
 * written again at all, since what the page cache then holds can't be trusted, and the next frame
 * opens a new segment, whose header says where the valid part of the old one ends.
 */
export class Journal {
  readonly #fs: FileSystem;
  readonly #dir: string;
  readonly #segmentBytes: number;
  #file: LogFile;
  #segments: SegmentHeader[];
  #position: number;
  #mustRoll = false;

  constructor(
    fs: FileSystem,
    dir: string,
    segmentBytes: number,
    at: { file: LogFile; segments: SegmentHeader[]; position: number },
  ) {
    this.#fs = fs;
    this.#dir = dir;
    this.#segmentBytes = segmentBytes;
    this.#file = at.file;
    this.#segments = at.segments;
    this.#position = at.position;
  }

  get segments(): readonly SegmentHeader[] {
    return this.#segments;
  }

  get segment(): number {
    return this.#segments.at(-1)?.segment ?? 0;
  }

  get position(): number {
    return this.#position;
  }

  /** Whether a frame of this size opens a new segment. */
  needsRoll(frameBytes: number): boolean {
    const header = segmentHeaderBytes(this.#segments.at(-1)?.partitions ?? 0);
    const isFull = this.#position > header && this.#position + frameBytes > this.#segmentBytes;
    return this.#mustRoll || isFull;
  }

  /** Goes on in a new segment. `state` is what is durable now, and the shape of the log. */
  async roll(state: JournalState): Promise<void> {
    const last = this.#segments.at(-1);
    if (last === undefined) throw new Error('a journal has a segment');
    const header: SegmentHeader = {
      ...last,
      ...state,
      bases: [...state.bases],
      segment: last.segment + 1,
      previousEnd: this.#position,
    };
    const file = await createSegment(this.#fs, this.#dir, header);
    this.#file.close();
    this.#file = file;
    this.#segments.push(header);
    this.#position = segmentHeaderBytes(header.partitions);
    this.#mustRoll = false;
  }

  /** Writes a frame at {@link position} and syncs it. */
  async write(parts: readonly Uint8Array[], length: number): Promise<void> {
    try {
      await this.#file.write(parts, this.#position);
    } catch (error) {
      try {
        this.#file.truncate(this.#position);
      } catch {
        this.#mustRoll = true;
      }
      throw error;
    }
    try {
      await this.#file.sync();
    } catch (error) {
      this.#mustRoll = true;
      try {
        this.#file.truncate(this.#position);
      } catch {
        // the next segment's header says that it ends here
      }
      throw error;
    }
    this.#position += length;
  }

  /** Removes the segments that hold nothing at or above the given starts; never the last one. */
  removeBefore(starts: readonly number[]): void {
    for (;;) {
      const [first, second] = this.#segments;
      if (first === undefined || second === undefined) return;
      if (!second.bases.every((base, p) => base <= (starts[p] ?? 0))) return;
      this.#fs.remove(segmentFile(this.#dir, first.segment));
      this.#segments.shift();
    }
  }

  sizeOf(segment: number): number {
    if (segment === this.segment) return this.#position;
    return this.#segments.find((header) => header.segment === segment + 1)?.previousEnd ?? 0;
  }

  close(): void {
    this.#file.close();
  }
}
