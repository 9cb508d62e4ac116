import { MemplaneError, PARTITIONS_MAX } from '@memplane/contracts';
import type { Lineage } from '../lineage.ts';
import { type FileSystem, nodeFileSystem } from './file-system.ts';

/** How an embedded log is opened. All but the folder has a default. */
export interface EmbeddedLogOptions {
  readonly dir: string;
  /** Partitions of a new log; an existing one keeps its own. */
  readonly partitions?: number;
  /** A segment is closed before it grows beyond this; one larger commit still fits. */
  readonly segmentBytes?: number;
  /** Appends are refused (`overloaded`) while more than this waits for its sync. */
  readonly appendQueueBytesMax?: number;
  /**
   * Appends whose commit has not begun after this are refused (`LateAppendError`), so that no stamp
   * enters the log much later than it was given.
   */
  readonly produceDeadlineMs?: number;
  /** The monotonic clock, in milliseconds. */
  readonly monotonicMs?: () => number;
  readonly fileSystem?: FileSystem;
  /** Off only where the owner of the whole data folder holds a lock on it already. */
  readonly lock?: boolean;
  /** The identity of a new log (UUID); an existing one keeps its own. */
  readonly newLogId?: () => string;
  /** The epoch of a new log, and the first offset of each of its partitions: where one is restored. */
  readonly newEpoch?: number;
  readonly newStarts?: readonly number[];
  /** How the partitions of a new log came about, where it is one that grew. */
  readonly newLineage?: Lineage | undefined;
}

export const LOG_DEFAULTS = {
  partitions: 12,
  segment_bytes: 64 * 1024 * 1024,
  append_queue_bytes_max: 16 * 1024 * 1024,
  produce_deadline_ms: 500,
} as const;

/** Offsets have 48 bits everywhere. */
const OFFSET_MAX = 2 ** 48 - 1;

export type ResolvedLogOptions = Required<EmbeddedLogOptions>;

export function resolveLogOptions(options: EmbeddedLogOptions): ResolvedLogOptions {
  const resolved = {
    dir: options.dir,
    partitions: options.partitions ?? LOG_DEFAULTS.partitions,
    segmentBytes: options.segmentBytes ?? LOG_DEFAULTS.segment_bytes,
    appendQueueBytesMax: options.appendQueueBytesMax ?? LOG_DEFAULTS.append_queue_bytes_max,
    produceDeadlineMs: options.produceDeadlineMs ?? LOG_DEFAULTS.produce_deadline_ms,
    monotonicMs: options.monotonicMs ?? (() => performance.now()),
    fileSystem: options.fileSystem ?? nodeFileSystem,
    lock: options.lock ?? true,
    newLogId: options.newLogId ?? (() => crypto.randomUUID()),
    newEpoch: options.newEpoch ?? 0,
    newStarts: options.newStarts ?? [],
    newLineage: options.newLineage,
  };
  mustBeWithin('partitions', resolved.partitions, 1, PARTITIONS_MAX);
  mustBeWithin('segmentBytes', resolved.segmentBytes, 4096, 1024 ** 3);
  mustBeWithin('appendQueueBytesMax', resolved.appendQueueBytesMax, 4096, 1024 ** 3);
  mustBeWithin('produceDeadlineMs', resolved.produceDeadlineMs, 1, 3_600_000);
  mustBeWithin('newEpoch', resolved.newEpoch, 0, 0xffff_ffff);
  for (const start of resolved.newStarts) mustBeWithin('newStarts', start, 0, OFFSET_MAX);
  return resolved;
}

function mustBeWithin(name: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new MemplaneError('invalid_request', `${name} is a whole number from ${min} to ${max}`);
}
