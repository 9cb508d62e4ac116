import type { BlobStore } from '@memplane/blob-store';
import { MemplaneError } from '@memplane/contracts';
import type { LogInfo, LogReadOptions, LogRecord } from '@memplane/event-log';
import { decodeSegment, encodeSegment } from '../domain/archive-format.ts';
import {
  parseSegmentName,
  type SegmentName,
  segmentFolder,
  segmentName,
} from '../domain/archive-names.ts';
import { ownerMoving } from '../shard.ts';
import type { RecordArchive } from './feed-sources.ts';
import { listManifests, type ManifestBase, readManifest, writeManifest } from './manifests.ts';

/** Decoded segments that are kept, since readers go on where they were. */
const SEGMENTS_KEPT_MAX = 2;
const MANIFESTS_KEPT = 2;

interface ArchiveManifest extends ManifestBase {
  readonly firstOffset: number;
  /** The last segment. */
  readonly segment: string;
}

/** What is known of a partition's archive while its shard is open. */
interface ArchivedPartition {
  readonly ownerEpoch: number;
  /** Verified, in order, without gaps. */
  readonly segments: SegmentName[];
  /** Segments that the manifest counts no more. */
  readonly leftovers: Set<string>;
}

/** The archive of one log: verified segments of each partition, without gaps, and their reader. */
export class Archive implements RecordArchive {
  readonly #blobs: BlobStore;
  readonly #log: LogInfo;
  readonly #partitions = new Map<number, ArchivedPartition>();
  readonly #kept = new Map<string, LogRecord[]>();

  constructor(blobs: BlobStore, log: LogInfo) {
    this.#blobs = blobs;
    this.#log = log;
  }

  /** Finds what earlier owners of a partition have archived and verified, and goes on from there. */
  async open(partition: number, ownerEpoch: number): Promise<void> {
    const { logId } = this.#log;
    const segments: SegmentName[] = [];
    const leftovers = new Set<string>();
    const [newest] = await listManifests(this.#blobs, 'archive', logId, partition);
    if (newest !== undefined) {
      const { firstOffset } = await readManifest<ArchiveManifest>(this.#blobs, newest.name);
      for await (const { name } of this.#blobs.list(segmentFolder(logId, partition))) {
        const segment = parseSegmentName(name);
        if (segment === undefined) continue;
        // Before it there are leftovers of a removal; what lies beyond it was never verified.
        if (segment.lastOffset < firstOffset) leftovers.add(segment.name);
        else if (segment.lastOffset <= newest.offset) insert(segments, segment);
      }
    }
    this.#partitions.set(partition, { ownerEpoch, segments, leftovers });
  }

  /** The epoch of the ownership under which a partition is open here; undefined: it is not. */
  openedFor(partition: number): number | undefined {
    return this.#partitions.get(partition)?.ownerEpoch;
  }

  close(partition: number): void {
    this.#partitions.delete(partition);
  }

  /** The first offset that is archived, and the one after the last; undefined when there is none. */
  bounds(partition: number): { readonly start: number; readonly end: number } | undefined {
    const segments = this.#partitions.get(partition)?.segments ?? [];
    const [first] = segments;
    const last = segments.at(-1);
    if (first === undefined || last === undefined) return undefined;
    return { start: first.firstOffset, end: last.lastOffset + 1 };
  }

  async read(partition: number, from: number, options: LogReadOptions): Promise<LogRecord[]> {
    const segment = (this.#partitions.get(partition)?.segments ?? []).find(
      ({ firstOffset, lastOffset }) => firstOffset <= from && from <= lastOffset,
    );
    if (segment === undefined) return [];
    const records = await this.#load(partition, segment);
    const found: LogRecord[] = [];
    let bytes = 0;
    for (const record of records) {
      if (record.offset < from) continue;
      bytes += record.value.length;
      if (found.length > 0 && bytes > options.maxBytes) break;
      found.push(record);
      if (found.length >= (options.maxRecords ?? Number.POSITIVE_INFINITY)) break;
    }
    return found;
  }

  /**
   * Adds the next records of a partition as a segment: written, read back and compared, then
   * published by a manifest.
   * @returns the bytes of the segment
   */
  async append(records: readonly [LogRecord, ...LogRecord[]]): Promise<number> {
    const { logId, epoch } = this.#log;
    const { header, blob } = await encodeSegment(this.#log, records);
    const { partition, firstOffset, lastOffset } = header;
    const opened = this.#partitions.get(partition);
    if (opened === undefined) throw ownerMoving(partition);
    const { ownerEpoch, segments } = opened;
    const end = this.bounds(partition)?.end;
    if (end !== undefined && end !== firstOffset) {
      throw new MemplaneError('internal', `The archive ends at ${end}, not at ${firstOffset}.`);
    }
    const name = segmentName(logId, partition, header, ownerEpoch);
    await this.#blobs.put(name, blob);
    await this.#verify(name, records);
    const manifest: ArchiveManifest = {
      logId,
      epoch,
      partition,
      ownerEpoch,
      offset: lastOffset,
      firstOffset: this.bounds(partition)?.start ?? firstOffset,
      segment: name,
    };
    await writeManifest(this.#blobs, 'archive', manifest);
    insert(segments, { name, firstOffset, lastOffset });
    const manifests = await listManifests(this.#blobs, 'archive', logId, partition);
    for (const old of manifests.slice(MANIFESTS_KEPT)) await this.#blobs.delete(old.name);
    return blob.length;
  }

  /**
   * Removes whole segments that lie before an offset; the newest one stays. The manifest promises
   * less first, so that a crash leaves segments too many, which the next removal takes.
   * @returns how many went
   */
  async removeBefore(partition: number, offset: number): Promise<number> {
    const opened = this.#partitions.get(partition);
    if (opened === undefined) throw ownerMoving(partition);
    const { ownerEpoch, segments, leftovers } = opened;
    const gone = segments.slice(0, -1).filter(({ lastOffset }) => lastOffset < offset);
    const last = segments.at(-1);
    const first = segments[gone.length];
    if (gone.length > 0 && last !== undefined && first !== undefined) {
      const { logId, epoch } = this.#log;
      const manifest: ArchiveManifest = {
        logId,
        epoch,
        partition,
        ownerEpoch,
        offset: last.lastOffset,
        firstOffset: first.firstOffset,
        segment: last.name,
      };
      await writeManifest(this.#blobs, 'archive', manifest);
      segments.splice(0, gone.length);
      for (const { name } of gone) leftovers.add(name);
    }
    const count = leftovers.size;
    for (const name of leftovers) {
      await this.#blobs.delete(name);
      this.#kept.delete(name);
      leftovers.delete(name);
    }
    return count;
  }

  async #verify(name: string, expected: readonly LogRecord[]): Promise<void> {
    const { records } = await decodeSegment(await this.#blobs.get(name), name);
    const same = records.every(({ offset, hlc, key, value }, i) => {
      const record = expected[i];
      return (
        record?.offset === offset &&
        record.hlc === hlc &&
        record.key === key &&
        record.value.equals(value)
      );
    });
    if (same && records.length === expected.length) return;
    throw new MemplaneError('storage_damaged', `The archive's ${name} came back otherwise.`, {
      extra: { blob: name },
    });
  }

  /** Empty for a segment that was removed meanwhile. */
  async #load(partition: number, segment: SegmentName): Promise<LogRecord[]> {
    const { name } = segment;
    let records = this.#kept.get(name);
    if (records === undefined) {
      try {
        ({ records } = await decodeSegment(await this.#blobs.get(name), name));
      } catch (error) {
        if (this.#partitions.get(partition)?.segments.includes(segment)) throw error;
        return [];
      }
      for (const old of [...this.#kept.keys()].slice(0, this.#kept.size + 1 - SEGMENTS_KEPT_MAX)) {
        this.#kept.delete(old);
      }
    }
    this.#kept.delete(name);
    this.#kept.set(name, records);
    return records;
  }
}

/** Keeps the segments without gap or overlap; a second one of the same records is left out. */
function insert(segments: SegmentName[], segment: SegmentName): void {
  const last = segments.at(-1);
  if (last === undefined || segment.firstOffset === last.lastOffset + 1) segments.push(segment);
  else if (segment.firstOffset === last.firstOffset && segment.lastOffset > last.lastOffset) {
    segments[segments.length - 1] = segment;
  }
}
