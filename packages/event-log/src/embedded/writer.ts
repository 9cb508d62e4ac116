import { MemplaneError, PARTITIONS_MAX } from '@memplane/contracts';
import {
  LateAppendError,
  type LogAdmin,
  type LogBounds,
  type LogGrowth,
  type LogInfo,
  type LogWriter,
  type NewRecord,
} from '../port.ts';
import type { RecentBatch } from '../recent-batch.ts';
import type { SegmentSummary } from '../retention.ts';
import { toStorageError } from './errors.ts';
import type { IndexFiles } from './index-files.ts';
import type { Journal } from './journal.ts';
import { grownManifest, infoOf, type ManifestStore } from './manifest.ts';
import type { MarkFile } from './mark.ts';
import { PendingCommit, waitingBytesOf } from './pending-commit.ts';
import type { SharedBounds } from './shared-state.ts';
import { checkRecord } from './stage.ts';

export interface WriterParts {
  readonly info: LogInfo;
  readonly journal: Journal;
  readonly index: IndexFiles;
  readonly mark: MarkFile;
  readonly openMark: (info: LogInfo) => MarkFile;
  readonly manifest: ManifestStore;
  readonly bounds: SharedBounds;
  readonly ends: readonly number[];
  readonly nextCommit: number;
  readonly highestHlc: bigint;
  readonly appendQueueBytesMax: number;
  readonly produceDeadlineMs: number;
  readonly monotonicMs: () => number;
  /** Reads the newest records from the indexes. */
  readonly recent: (limit: number) => AsyncIterable<RecentBatch>;
  /** Called once, when the writer is closed. */
  readonly release: () => void;
}

interface UnwrittenIndex {
  readonly partition: number;
  readonly firstOffset: number;
  readonly entries: Buffer;
}

function nothing(): void {}

function isGrowing(): MemplaneError {
  return new MemplaneError('overloaded', 'The log is growing', { retryAfterMs: 100 });
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * The one writer of an embedded log. Appends are encoded as they arrive into the commit that is
 * being gathered; while one commit is written and synced the next one gathers, so that each sync
 * carries all that came meanwhile.
 *
 * A commit, in this order: frame written and synced · index entries written · mark written · ends
 * published to readers · appends answered.
 */
export class EmbeddedWriter implements LogWriter, LogAdmin, LogGrowth {
  #info: LogInfo;
  readonly #parts: WriterParts;
  readonly #durableEnds: number[];
  readonly #nextOffsets: number[];
  #nextCommit: number;
  #highestHlc: bigint;
  #gathering: PendingCommit;
  #spare: PendingCommit;
  #gatheringBytes = 0;
  #committingBytes = 0;
  #running: Promise<void> | undefined;
  #unwritten: UnwrittenIndex[] = [];
  #indexSync: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #mark: MarkFile;
  #growing: Promise<LogInfo> | undefined;

  constructor(parts: WriterParts) {
    this.#info = parts.info;
    this.#mark = parts.mark;
    this.#parts = parts;
    this.#durableEnds = [...parts.ends];
    this.#nextOffsets = [...parts.ends];
    this.#nextCommit = parts.nextCommit;
    this.#highestHlc = parts.highestHlc;
    this.#gathering = new PendingCommit(parts.info.partitions);
    this.#spare = new PendingCommit(parts.info.partitions);
  }

  get info(): LogInfo {
    return this.#info;
  }

  get growing(): Promise<void> | undefined {
    return this.#growing?.then(nothing, nothing);
  }

  get highestHlc(): bigint {
    return this.#highestHlc;
  }

  /** Bytes of appends that wait for their sync. */
  get waitingBytes(): number {
    return this.#gatheringBytes + this.#committingBytes;
  }

  async bounds(partition: number): Promise<LogBounds> {
    return this.#parts.bounds.bounds(partition);
  }

  recent(limit: number): AsyncIterable<RecentBatch> {
    return this.#parts.recent(limit);
  }

  async append(records: readonly NewRecord[]): Promise<number[]> {
    if (this.#closing) throw new MemplaneError('shutting_down', 'The log is closed');
    if (this.#growing) throw isGrowing();
    let bytes = 0;
    for (const record of records) {
      checkRecord(record, this.info.partitions);
      bytes += waitingBytesOf(record);
    }
    if (records.length === 0) return [];
    const waiting = this.waitingBytes;
    if (waiting > 0 && waiting + bytes > this.#parts.appendQueueBytesMax) {
      throw new MemplaneError(
        'overloaded',
        `More than ${this.#parts.appendQueueBytesMax} bytes are waiting to be stored`,
        { retryAfterMs: 100, extra: { waitingBytes: waiting } },
      );
    }
    this.#gatheringBytes += bytes;
    const durable = this.#gathering.add(records, this.#nextOffsets, this.#parts.monotonicMs());
    this.#running ??= this.#run();
    return durable;
  }

  async deleteRecordsBefore(partition: number, offset: number): Promise<void> {
    const { manifest, bounds, journal, index } = this.#parts;
    const end = this.#durableEnds[partition];
    if (end === undefined || !Number.isInteger(offset) || offset < 0 || offset > end) {
      throw new MemplaneError(
        'invalid_request',
        `Partition ${partition} has no offset ${offset} to begin at`,
      );
    }
    if (offset <= (manifest.current.starts[partition] ?? 0)) return;
    try {
      await manifest.update((current) => ({
        ...current,
        starts: current.starts.map((start, p) =>
          p === partition ? Math.max(start, offset) : start,
        ),
      }));
      bounds.setStart(partition, manifest.current.starts[partition] ?? 0);
      bounds.announce();
      journal.removeBefore(manifest.current.starts);
      index.removeBefore(partition, offset);
    } catch (error) {
      throw toStorageError(error, 'moving the start of the log');
    }
  }

  /** The segments, oldest first: what a policy of retention decides on. */
  segments(): SegmentSummary[] {
    const { journal } = this.#parts;
    return journal.segments.map((header, i) => ({
      segment: header.segment,
      bytes: journal.sizeOf(header.segment),
      firstOffsets: header.bases,
      newestHlc: journal.segments[i + 1]?.highestHlc ?? this.#highestHlc,
    }));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { journal, index, manifest, bounds, release } = this.#parts;
    await this.growing;
    while (this.#running) await this.#running;
    await this.#indexSync;
    await manifest.settled();
    bounds.close();
    journal.close();
    index.close();
    this.#mark.close();
    release();
  }

  async #run(): Promise<void> {
    while (!this.#gathering.isEmpty) {
      // all that this turn of the event loop brings goes along
      await nextTurn();
      const commit = this.#gathering;
      this.#gathering = this.#spare;
      this.#spare = commit;
      this.#committingBytes = this.#gatheringBytes;
      this.#gatheringBytes = 0;
      await this.#commit(commit);
      commit.reset();
      this.#committingBytes = 0;
    }
    this.#running = undefined;
  }

  async #commit(commit: PendingCommit): Promise<void> {
    const { journal } = this.#parts;
    const length = commit.frameBytes;
    let highest = this.#highestHlc;
    if (commit.highestHlc > highest) highest = commit.highestHlc;
    try {
      this.#writeIndex();
      if (journal.needsRoll(length)) await this.#roll();
      this.#refuseLate(commit);
      const parts = commit.seal(journal.segment, journal.position, this.#nextCommit, highest);
      await journal.write(parts, length);
    } catch (error) {
      this.#refuse(commit, toStorageError(error, 'storing events'));
      return;
    }
    this.#nextCommit += 1;
    this.#highestHlc = highest;
    for (const stage of commit.touched) {
      this.#durableEnds[stage.partition] = stage.firstOffset + stage.count;
      const { partition, firstOffset } = stage;
      this.#unwritten.push({ partition, firstOffset, entries: stage.encodedEntries() });
    }
    try {
      this.#writeIndex();
    } catch {
      // durable, but not readable before the index is: kept, and tried again before the next commit
      this.#unwritten = this.#unwritten.map((part) => ({
        ...part,
        entries: Buffer.copyBytesFrom(part.entries),
      }));
    }
    commit.resolveAll();
  }

  /** Cuts by time rely on it that a stamp is in the log soon after it was given. */
  #refuseLate(commit: PendingCommit): void {
    const { produceDeadlineMs, monotonicMs } = this.#parts;
    if (monotonicMs() - commit.beganAtMs <= produceDeadlineMs) return;
    throw new LateAppendError(produceDeadlineMs);
  }

  /** Writes the index entries of durable records, then the mark, then lets readers see them. */
  #writeIndex(): void {
    if (this.#unwritten.length === 0) return;
    const { index, bounds } = this.#parts;
    for (const part of this.#unwritten) index.write(part.partition, part.firstOffset, part.entries);
    this.#writeMark();
    for (const part of this.#unwritten) {
      bounds.setEnd(part.partition, this.#durableEnds[part.partition] ?? 0);
    }
    this.#unwritten = [];
    bounds.announce();
  }

  #writeMark(): void {
    const { journal } = this.#parts;
    this.#mark.write({
      segment: journal.segment,
      position: journal.position,
      nextCommit: this.#nextCommit,
      highestHlc: this.#highestHlc,
      ends: this.#durableEnds,
    });
  }

  grow(): Promise<LogInfo> {
    this.#growing ??= this.#grow().finally(() => {
      this.#growing = undefined;
    });
    return this.#growing;
  }

  /**
   * In this order: all appends durable · the manifest, with the new shape and where each partition is
   * split · readers and appenders told. From the manifest on the log has grown, after a crash too.
   */
  async #grow(): Promise<LogInfo> {
    const { manifest, bounds, openMark } = this.#parts;
    const partitions = 2 * this.#info.partitions;
    if (partitions > PARTITIONS_MAX) {
      throw new MemplaneError('invalid_request', `A log has ${PARTITIONS_MAX} partitions at most`);
    }
    while (this.#running) await this.#running;
    if (this.#closing) throw new MemplaneError('shutting_down', 'The log is closed');
    const split = [...this.#durableEnds];
    const ends = [...split, ...split];
    try {
      this.#writeIndex();
      await manifest.update((current) => grownManifest(current, split));
    } catch (error) {
      throw toStorageError(error, 'growing the log');
    }
    const info = infoOf(manifest.current);
    const mark = openMark(info);
    this.#mark.close();
    this.#mark = mark;
    for (const held of [this.#durableEnds, this.#nextOffsets]) held.splice(0, held.length, ...ends);
    this.#gathering = new PendingCommit(partitions);
    this.#spare = new PendingCommit(partitions);
    this.#writeMark();
    for (let p = partitions / 2; p < partitions; p++) {
      bounds.setStart(p, ends[p] ?? 0);
      bounds.setEnd(p, ends[p] ?? 0);
    }
    this.#info = info;
    bounds.setInfo(info);
    bounds.announce();
    return info;
  }

  async #roll(): Promise<void> {
    const { journal } = this.#parts;
    await journal.roll({
      nextCommit: this.#nextCommit,
      highestHlc: this.#highestHlc,
      bases: this.#durableEnds,
      epoch: this.#info.epoch,
      partitions: this.#info.partitions,
    });
    this.#indexSync ??= this.#syncIndex(journal.segment).finally(() => {
      this.#indexSync = undefined;
    });
  }

  /** In the background: makes the indexes of the closed segments durable, and notes it. */
  async #syncIndex(before: number): Promise<void> {
    const { index, manifest } = this.#parts;
    try {
      await index.sync();
      await manifest.update((current) => ({ ...current, indexSyncedBefore: before }));
    } catch {
      // then a restart after a loss of power scans more; the next closed segment tries again
    }
  }

  /** Nothing of the commit, nor of what gathered behind it, has happened. */
  #refuse(commit: PendingCommit, error: MemplaneError): void {
    const behind = this.#gathering;
    for (let p = 0; p < this.#nextOffsets.length; p++) {
      this.#nextOffsets[p] = this.#durableEnds[p] ?? 0;
    }
    commit.rejectAll(error);
    behind.rejectAll(error);
    behind.reset();
    this.#gatheringBytes = 0;
  }
}
