import type { LogAdmin, LogReader, LogRecord } from '@memplane/event-log';
import { type Logger, pause } from '@memplane/runtime';
import { SegmentBody } from '../domain/segment-body.ts';
import type { Archive } from './archive.ts';
import { BackgroundLoop } from './background-loop.ts';

export interface ArchiverSettings {
  /** Bytes of events of a segment, before compression; one larger event still fits. */
  readonly archive_segment_bytes: number;
  /** Fewer bytes than a segment wait this long at most. */
  readonly archiveIntervalMs: number;
  /** How often the archiver looks for what to do. */
  readonly archiveTickMs: number;
  /** Events younger than this stay in the log. */
  readonly logRetentionMs: number;
}

export interface ArchiverPorts {
  readonly log: LogReader;
  /** Without it the log keeps everything. */
  readonly admin?: LogAdmin | undefined;
  readonly archive: Archive;
  readonly logger: Logger;
  /** The partitions whose shards are here, ready to be archived. */
  readonly partitions: () => Promise<readonly number[]>;
  /** Whether a partition is surely this instance's, at this moment. */
  readonly owns: (partition: number) => boolean;
  /** The first offset of a partition whose stamp is at or after a time, in ms since 1970. */
  readonly firstOffsetSince: (partition: number, timeMs: number) => Promise<number>;
  /** Publishes a snapshot of a shard if it is time for one. */
  readonly snapshotIfDue: (partition: number) => Promise<void>;
  /** The offset of the newest published snapshot of a shard, inclusive; -1: none. */
  readonly snapshotOffset: (partition: number) => number;
  /** Records as they are to be archived: without what is erased. */
  readonly withoutErased: (
    partition: number,
    records: readonly LogRecord[],
  ) => Promise<readonly LogRecord[]>;
  /** Runs a work of which there is one at a time: an erasure comes before it, or after. */
  readonly inTurn: <T>(work: () => Promise<T>) => Promise<T>;
  /** Archived records before this offset of a partition are needed by nobody. */
  readonly unneededBefore: (partition: number) => number;
  /** Partitions that were split off one and have not archived all that they read from it. */
  readonly childrenReading: (partition: number) => readonly number[];
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Of one read: what takes it apart keeps everything else of the thread waiting. */
const READ_BYTES = 256 * 1024;
/** After each segment the archiver rests this much longer than it worked, ... */
const REST_FACTOR = 3;
const REST_MS_MAX = 500;
/** ... unless this much waits to be archived. */
const UNHURRIED_LAG_BYTES_MAX = 256 * 1024 * 1024;
const FIRST_GUESS_BYTES = 512;
/** After a start, what is waited for comes first: views, and the index that follows them. */
const TICKS_BEFORE_FIRST = 5;

interface Progress {
  /** Mean bytes of an event, of the last segment. */
  eventBytes: number;
  archivedAtMs: number;
  end: number;
}

/**
 * Copies the log into the archive, and gives the log's space back: its start moves to the lowest
 * of the first offset younger than the retention, what is archived and verified, and what the
 * newest published snapshot of the shard covers. That holds for every owner by itself, also one
 * that was paused on its way: whatever it deletes from the log it has archived before, and segments
 * are never deleted, so that a later owner finds them.
 */
export class Archiver extends BackgroundLoop {
  readonly #ports: ArchiverPorts;
  readonly #settings: ArchiverSettings;
  readonly #progress = new Map<number, Progress>();
  /** One segment is made at a time. */
  readonly #body = new SegmentBody();
  #failing = false;

  constructor(ports: ArchiverPorts, settings: ArchiverSettings) {
    super();
    this.#ports = ports;
    this.#settings = settings;
  }

  /** Estimated bytes of events in the log that are not archived yet, over all partitions here. */
  get lagBytes(): number {
    let bytes = 0;
    for (const [partition, { eventBytes, end }] of this.#progress) {
      bytes += Math.max(0, end - this.#archivedEnd(partition)) * eventBytes;
    }
    return bytes;
  }

  /**
   * One look at all partitions that are here.
   * @param force archive also what is less than a segment and has not waited long
   */
  async tick(force = false): Promise<void> {
    const partitions = await this.#ports.partitions();
    for (const partition of this.#progress.keys()) {
      if (!partitions.includes(partition)) this.#progress.delete(partition);
    }
    // Before anything that may fail: what lags is told whether or not it can be archived.
    for (const partition of partitions) {
      this.#progressOf(partition).end = (await this.#ports.log.bounds(partition)).end;
    }
    for (const partition of partitions) {
      if (this.stopping.aborted) return;
      let startedAt = performance.now();
      while (await this.#ports.inTurn(() => this.#archiveNext(partition, force))) {
        if (!force) await this.#rest(performance.now() - startedAt);
        if (this.stopping.aborted) return;
        startedAt = performance.now();
      }
      await this.#ports.snapshotIfDue(partition);
      await this.#trim(partition);
      await this.#ports.archive.removeBefore(partition, this.#ports.unneededBefore(partition));
    }
  }

  protected async run(): Promise<void> {
    const signal = this.stopping;
    await pause(TICKS_BEFORE_FIRST * this.#settings.archiveTickMs, signal);
    while (!signal.aborted) {
      try {
        await this.tick();
        this.#failing = false;
      } catch (error) {
        if (!this.#failing)
          this.#ports.logger.error({ err: error }, 'archiving failed; it goes on');
        this.#failing = true;
      }
      await pause(this.#settings.archiveTickMs, signal);
    }
  }

  /** Nobody waits for the archive, and what is applied and read meanwhile shares its thread. */
  async #rest(workedMs: number): Promise<void> {
    if (this.lagBytes > UNHURRIED_LAG_BYTES_MAX) return;
    await pause(Math.min(REST_FACTOR * workedMs, REST_MS_MAX), this.stopping);
  }

  #progressOf(partition: number): Progress {
    let progress = this.#progress.get(partition);
    if (progress === undefined) {
      progress = { eventBytes: FIRST_GUESS_BYTES, archivedAtMs: this.#ports.now(), end: 0 };
      this.#progress.set(partition, progress);
    }
    return progress;
  }

  #archivedEnd(partition: number): number {
    return this.#ports.archive.endOf(partition) ?? 0;
  }

  /** @returns whether a full segment was archived, so that there may be more */
  async #archiveNext(partition: number, force: boolean): Promise<boolean> {
    const { log, archive, now } = this.#ports;
    const progress = this.#progressOf(partition);
    const { start, end } = await log.bounds(partition);
    progress.end = end;
    if (start > (archive.endOf(partition) ?? start)) {
      await archive.adopt(partition, start, this.#ports.unneededBefore(partition));
    }
    const from = Math.max(start, this.#archivedEnd(partition));
    if (from >= end) {
      progress.archivedAtMs = now();
      return false;
    }
    const pendingBytes = (end - from) * progress.eventBytes;
    const waitedLong = now() - progress.archivedAtMs >= this.#settings.archiveIntervalMs;
    if (pendingBytes < this.#settings.archive_segment_bytes && !waitedLong && !force) return false;
    const bytes = await this.#fill(partition, from, end);
    if (this.#body.records === 0) return false;
    progress.eventBytes = Math.max(1, bytes / this.#body.records);
    await archive.append(this.#body);
    progress.archivedAtMs = now();
    return true;
  }

  /** Fills a segment from an offset on. @returns the bytes of its events, as the log has them */
  async #fill(partition: number, from: number, end: number): Promise<number> {
    const { archive_segment_bytes: bytesMax } = this.#settings;
    this.#body.clear();
    let bytes = 0;
    let next = from;
    while (bytes < bytesMax && next < end) {
      const maxBytes = Math.min(READ_BYTES, bytesMax - bytes);
      const more = await this.#ports.log.read(partition, next, { maxBytes });
      if (more.length === 0) break;
      for (const { value } of more) bytes += value.length;
      this.#body.add(await this.#ports.withoutErased(partition, more));
      next = (more.at(-1)?.offset ?? next) + 1;
    }
    return bytes;
  }

  async #trim(partition: number): Promise<void> {
    const { admin, log, owns, firstOffsetSince, snapshotOffset, childrenReading, now } =
      this.#ports;
    if (admin === undefined) return;
    const { start } = await log.bounds(partition);
    const children = childrenReading(partition);
    const safe = Math.min(
      snapshotOffset(partition) + 1,
      ...[partition, ...children].map((p) => this.#archivedEnd(p)),
    );
    if (safe <= start) return;
    const young = await firstOffsetSince(partition, now() - this.#settings.logRetentionMs);
    const target = Math.min(safe, young);
    if (target > start && owns(partition)) await admin.deleteRecordsBefore(partition, target);
  }
}
