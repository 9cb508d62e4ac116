import type { BlobStore } from '@memplane/blob-store';
import { MemplaneError } from '@memplane/contracts';
import type { LogInfo, LogReader, LogReadOptions, LogRecord } from '@memplane/event-log';
import { emptied, sealedKeyId } from '@memplane/runtime/sealing';
import { decodeSegment, encodeSegment, hasBody } from '../domain/archive-format.ts';
import {
  parseSegmentName,
  type SegmentName,
  segmentFolder,
  segmentName,
} from '../domain/archive-names.ts';
import { SegmentBody } from '../domain/segment-body.ts';
import { SegmentCover } from '../domain/segment-cover.ts';
import { ownerMoving } from '../shard.ts';
import type { RecordArchive } from './feed-sources.ts';
import { listManifests, type ManifestBase, readManifest, writeManifest } from './manifests.ts';

/** Decoded segments that are kept, since readers go on where they were. */
const SEGMENTS_KEPT_MAX = 2;
const MANIFESTS_KEPT = 2;

interface ArchiveManifest extends ManifestBase {
  readonly firstOffset: number;
}

/** What is known of a partition's archive while its shard is open. */
interface ArchivedPartition {
  readonly ownerEpoch: number;
  cover: SegmentCover;
  /** Where it begins, by its manifest: what lies before is removed, or about to be. */
  start: number;
  /** The offset after the last one that is archived and verified; undefined: none is. */
  end: number | undefined;
}

/**
 * The archive of one log: verified segments of each partition, and their reader. Up to where a
 * partition is archived, its newest manifest tells, that of the highest owner epoch: one that an
 * earlier owner writes when it wakes up too late never counts.
 */
export class Archive implements RecordArchive {
  readonly #blobs: BlobStore;
  readonly #source: Pick<LogReader, 'info'>;
  readonly #partitions = new Map<number, ArchivedPartition>();
  readonly #kept = new Map<string, LogRecord[]>();

  constructor(blobs: BlobStore, log: Pick<LogReader, 'info'>) {
    this.#blobs = blobs;
    this.#source = log;
  }

  get #log(): LogInfo {
    return this.#source.info;
  }

  /** Finds what earlier owners of a partition have archived and verified, and goes on from there. */
  async open(partition: number, ownerEpoch: number): Promise<void> {
    const [newest] = await listManifests(this.#blobs, 'archive', this.#log.logId, partition);
    const cover = await this.#list(partition);
    const opened: ArchivedPartition = { ownerEpoch, cover, start: 0, end: undefined };
    if (newest !== undefined) {
      const { firstOffset } = await readManifest<ArchiveManifest>(this.#blobs, newest.name);
      // A late owner may have removed more than that; what it promises at least is there.
      opened.start = cover.firstFrom(firstOffset);
      // What lies beyond the manifest was maybe never verified; it is written again.
      opened.end = Math.min(newest.offset + 1, cover.endFrom(opened.start));
    }
    this.#partitions.set(partition, opened);
  }

  /** The epoch of the ownership under which a partition is open here; undefined: it is not. */
  openedFor(partition: number): number | undefined {
    return this.#partitions.get(partition)?.ownerEpoch;
  }

  close(partition: number): void {
    this.#partitions.delete(partition);
  }

  /** The offset after the last one that is archived and verified; undefined when none is. */
  endOf(partition: number): number | undefined {
    return this.#partitions.get(partition)?.end;
  }

  /** Where two segments hold an offset and one is damaged, the other is read. */
  async read(partition: number, from: number, options: LogReadOptions): Promise<LogRecord[]> {
    const opened = this.#partitions.get(partition);
    if (opened === undefined) throw ownerMoving(partition);
    const records = await this.#holding(partition, opened, from);
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
  async append(body: SegmentBody): Promise<number> {
    const { header, blob } = await encodeSegment(this.#log, body);
    const { partition, firstOffset, lastOffset } = header;
    const opened = this.#partitions.get(partition);
    if (opened === undefined) throw ownerMoving(partition);
    const { ownerEpoch, end } = opened;
    if (end !== undefined && end !== firstOffset) {
      throw new MemplaneError('internal', `The archive ends at ${end}, not at ${firstOffset}.`);
    }
    const name = segmentName(this.#log.logId, partition, header, ownerEpoch);
    await this.#blobs.put(name, blob);
    await this.#verify(name, body.bytes);
    opened.cover.add({ name, firstOffset, lastOffset, ownerEpoch });
    if (end === undefined) opened.start = firstOffset;
    await this.#publish(partition, opened, lastOffset + 1);
    return blob.length;
  }

  /**
   * The log begins beyond where the archive is known to end: an owner before this one, late, has
   * archived more and let the log forget it. Its segments are read, and count from now on.
   * @param unneededBefore what nobody needs may be missing
   * @throws MemplaneError `storage_damaged` where other offsets are in neither
   */
  async adopt(partition: number, logStart: number, unneededBefore: number): Promise<void> {
    const opened = this.#partitions.get(partition);
    if (opened === undefined) throw ownerMoving(partition);
    let end = opened.end ?? logStart;
    while (end < logStart) {
      const last = (await this.#holding(partition, opened, end)).at(-1);
      if (last !== undefined) end = last.offset + 1;
      else {
        const next = opened.cover.firstFrom(end);
        const found = next === end ? logStart : next;
        if (found > unneededBefore) throw missing(partition, end, logStart);
        opened.start = end = found;
      }
    }
    await this.#publish(partition, opened, end);
  }

  /**
   * Removes whole segments that lie before an offset; the newest one stays. The manifest promises
   * less first, so that a crash leaves segments too many, which the next removal takes.
   * @returns how many went
   */
  async removeBefore(partition: number, offset: number): Promise<number> {
    const opened = this.#partitions.get(partition);
    if (opened === undefined) throw ownerMoving(partition);
    const { cover, end } = opened;
    if (end === undefined) return 0;
    const start = cover.firstFrom(Math.min(offset, end - 1));
    if (start > opened.start) {
      opened.start = start;
      await this.#publish(partition, opened, end);
    }
    const gone = cover.before(opened.start);
    for (const segment of gone) {
      cover.remove(segment);
      this.#kept.delete(segment.name);
      await this.#blobs.delete(segment.name);
    }
    return gone.length;
  }

  /**
   * Records of a partition's archive that are plain and have a payload, of those that are erased.
   * @param isErased tells which
   */
  async plainErased(partition: number, isErased: IsErased): Promise<number> {
    const opened = this.#partitions.get(partition);
    if (opened === undefined) throw ownerMoving(partition);
    let found = 0;
    for (const { name } of opened.cover.segments) {
      const { records } = await decodeSegment(await this.#blobs.get(name), name);
      found += records.filter((record) => isErased(record) && isPlain(record)).length;
    }
    return found;
  }

  /**
   * Rewrites the segments that hold such records: these lose their payloads, and all else stays.
   * @returns how many records lost theirs
   */
  async empty(partition: number, isErased: IsErased): Promise<number> {
    const opened = this.#partitions.get(partition);
    if (opened === undefined) throw ownerMoving(partition);
    let emptiedCount = 0;
    for (const { name } of opened.cover.segments) {
      const { records } = await decodeSegment(await this.#blobs.get(name), name);
      const [first, ...rest] = records.map((record) => {
        if (!isErased(record) || !isPlain(record)) return record;
        emptiedCount++;
        return { ...record, value: emptied(record.value) };
      });
      const isSame = first === records[0] && rest.every((record, i) => record === records[i + 1]);
      if (first === undefined || isSame) continue;
      const body = SegmentBody.of([first, ...rest]);
      const { blob } = await encodeSegment(this.#log, body);
      this.#kept.delete(name);
      await this.#blobs.put(name, blob);
      await this.#verify(name, body.bytes);
    }
    return emptiedCount;
  }

  async #publish(partition: number, opened: ArchivedPartition, end: number): Promise<void> {
    const { logId, epoch } = this.#log;
    const { ownerEpoch, start: firstOffset } = opened;
    const offset = end - 1;
    const manifest: ArchiveManifest = { logId, epoch, partition, ownerEpoch, offset, firstOffset };
    await writeManifest(this.#blobs, 'archive', manifest);
    opened.end = end;
    const manifests = await listManifests(this.#blobs, 'archive', logId, partition);
    for (const old of manifests.slice(MANIFESTS_KEPT)) await this.#blobs.delete(old.name);
  }

  /** The records of a segment that has an offset; none where there is no such segment. */
  async #holding(
    partition: number,
    opened: ArchivedPartition,
    offset: number,
  ): Promise<LogRecord[]> {
    // What is not there, or not any more, another owner may have written or removed: look again.
    for (const isLast of [false, true]) {
      if (offset < opened.start) return [];
      const records = await this.#try(partition, opened.cover.holding(offset));
      if (records !== undefined) return records;
      if (!isLast) opened.cover = await this.#list(partition);
    }
    return [];
  }

  /** The records of one of the segments; undefined when none of them is there. */
  async #try(
    partition: number,
    segments: readonly SegmentName[],
  ): Promise<LogRecord[] | undefined> {
    let failure: unknown;
    for (const { name } of segments) {
      try {
        return await this.#load(name, partition);
      } catch (error) {
        const isGone = error instanceof MemplaneError && error.code === 'not_found';
        if (!isGone) failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
    return undefined;
  }

  async #list(partition: number): Promise<SegmentCover> {
    const found: SegmentName[] = [];
    for await (const { name } of this.#blobs.list(segmentFolder(this.#log.logId, partition))) {
      const segment = parseSegmentName(name);
      if (segment !== undefined) found.push(segment);
    }
    return new SegmentCover(found);
  }

  async #verify(name: string, written: Buffer): Promise<void> {
    if (await hasBody(await this.#blobs.get(name), name, written)) return;
    throw new MemplaneError('storage_damaged', `The archive's ${name} came back otherwise.`, {
      extra: { blob: name },
    });
  }

  async #load(name: string, partition: number): Promise<LogRecord[]> {
    let records = this.#kept.get(name);
    if (records === undefined) {
      const segment = await decodeSegment(await this.#blobs.get(name), name);
      if (segment.header.logId !== this.#log.logId || segment.header.partition !== partition) {
        throw new MemplaneError(
          'storage_damaged',
          `The archive's ${name} is of another partition.`,
          {
            extra: { blob: name },
          },
        );
      }
      ({ records } = segment);
      for (const old of [...this.#kept.keys()].slice(0, this.#kept.size + 1 - SEGMENTS_KEPT_MAX)) {
        this.#kept.delete(old);
      }
    }
    this.#kept.delete(name);
    this.#kept.set(name, records);
    return records;
  }
}

/** Which records are of before their entity's erasure. */
export type IsErased = (record: LogRecord) => boolean;

/** Whether a record can be read by whoever has its bytes, and says anything. */
function isPlain({ value }: LogRecord): boolean {
  return sealedKeyId(value) === undefined && emptied(value).length < value.length;
}

function missing(partition: number, from: number, logStart: number): MemplaneError {
  return new MemplaneError(
    'storage_damaged',
    `Offsets ${from} to ${logStart - 1} of partition ${partition} are in neither log nor archive.`,
    { extra: { partition, missingFrom: from, logStart } },
  );
}
