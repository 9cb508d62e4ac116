import { hlcToMs, parseHlc } from '@memplane/clock';
import { restoreCrdts } from '@memplane/crdt-sync/backup';
import { restoreErasures, restoreStrong } from '@memplane/event-ingest/backup';
import type { LogInfo } from '@memplane/event-log';
import { adoptSnapshot } from '@memplane/materializer/backup';
import { restoreComputedVectors } from '@memplane/vector-index/backup';
import type { LedgerEntry } from '../ledger/ledger-object.ts';
import { CommandError, EXIT } from '../output/exit-codes.ts';
import type { Stages } from '../output/stages.ts';
import type { BackupReader } from './backup-reader.ts';
import { type RestoredLog, restoreLog } from './restore-log.ts';
import type { RestoreTarget } from './restore-target.ts';
import { RestoredErasures } from './restored-erasures.ts';
import type { RestoredShape } from './restored-shape.ts';

export interface FillOptions {
  readonly backup: BackupReader;
  /** Of the log that is filled. */
  readonly shape: RestoredShape;
  /** Restores no event with a later stamp, in milliseconds since 1970. */
  readonly untilMs: number | undefined;
  /** What the erasure ledger has; undefined: there is none. */
  readonly ledger: Iterable<LedgerEntry> | undefined;
  readonly stages: Pick<Stages, 'begin' | 'add'>;
  readonly now: () => number;
}

export interface RestoreReport {
  readonly logId: string;
  readonly fromLogId: string;
  readonly events: number;
  /** The last offset of each partition. */
  readonly offsets: readonly number[];
  /** Shards that begin with a snapshot; the others are folded from their events. */
  readonly snapshots: number;
  readonly names: number;
  /** Leases, heads of strong entities, the table of zones. */
  readonly records: number;
  readonly vectors: number;
  /** Erasures of after what was restored: it was restored without what they have erased. */
  readonly erasures: number;
}

/**
 * Fills the stores of a new plane with what a backup has. Cut off, they are of no use.
 * @throws CommandError for a time that can't be restored; MemplaneError `storage_damaged` for a backup
 * that is, naming the part
 */
export async function fill(options: FillOptions, target: RestoreTarget): Promise<RestoreReport> {
  const { backup, stages, untilMs, shape } = options;
  const { starts } = shape;
  const { cut } = backup.manifest;
  const total = cut.offsets.reduce((sum, end, p) => sum + end + 1 - (cut.starts[p] ?? 0), 0);
  stages.begin('events', total);
  const onEvents = (events: number) => stages.add(events);
  const erased = await RestoredErasures.of(backup, options.ledger, { shape, untilMs });
  const isErased = (key: string) => erased.isErased(key);
  const writer = target.log;
  const log = await restoreLog(backup, { writer, starts, untilMs, isErased, onEvents });
  const snapshots = await restoreShards(options, target, { log, erased });
  const when = { newestHlc: cut.hlc, nowMs: options.now() };
  const { erasures, ends: offsets } = await erased.append(writer, log, when);
  stages.begin('other values', 1);
  const names = await restoreValues(options, target);
  let records = 0;
  for (const part of backup.parts('strong')) {
    const { name } = part;
    records += await restoreStrong({ store: target.strong, lines: backup.lines(part), name });
  }
  await restoreErasures(target.strong, erasures);
  // They tell of texts by digests alone: which are of erased ones, nobody knows.
  const vectors = erased.areUncleared ? 0 : await restoreVectors(backup, target);
  const { events, info } = log;
  const { logId } = info;
  const fromLogId = cut.logId;
  const counts = { events, snapshots, names, records, vectors, erasures: erased.newer };
  return { logId, fromLogId, offsets, ...counts };
}

async function restoreVectors(backup: BackupReader, { indexDirs }: RestoreTarget): Promise<number> {
  let vectors = 0;
  for (const part of backup.parts('vectors')) {
    const { name } = part;
    for (const indexDir of indexDirs) {
      const lines = backup.lines(part);
      vectors += await restoreComputedVectors({ indexDir, lines, name });
    }
  }
  return vectors;
}

/** Each replica gets what any of them had. @returns the most names that one had */
async function restoreValues(
  { backup, now }: FillOptions,
  { replicas }: RestoreTarget,
): Promise<number> {
  const withoutLog = backup.manifest.cut.logId;
  let most = 0;
  for (const replica of replicas) {
    for (const part of backup.parts('crdts')) {
      const { name } = part;
      const lines = backup.lines(part);
      most = Math.max(most, await restoreCrdts({ replica, lines, withoutLog, name, now }));
    }
  }
  return most;
}

/** The views themselves are not written: the plane takes them from these snapshots as it starts. */
async function restoreShards(
  { backup, stages }: FillOptions,
  { archive }: RestoreTarget,
  { log, erased }: { readonly log: RestoredLog; readonly erased: RestoredErasures },
): Promise<number> {
  const parts = backup.parts('shard');
  stages.begin(
    'views',
    parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  );
  const adopted = new Set<number>();
  for (const part of parts) {
    const { name, partition = 0, lastOffset: offset = -1 } = part;
    // One that goes beyond the time that is restored would show what has not happened yet.
    if (offset > (log.ends[partition] ?? -1)) continue;
    const content = backup.bytes(part);
    const isErased = erased.goneFrom(partition, offset);
    const gone = isErased === undefined ? {} : { isErased };
    await adoptSnapshot(archive, log.info, { partition, offset, content, name, ...gone });
    adopted.add(partition);
    stages.add(part.sizeBytes);
  }
  refuseWithoutBeginning(backup, log.info, adopted);
  return adopted.size;
}

function refuseWithoutBeginning(
  backup: BackupReader,
  { partitions }: LogInfo,
  adopted: ReadonlySet<number>,
): void {
  const { starts, lineage } = backup.manifest.cut;
  for (let partition = 0; partition < partitions; partition++) {
    const start = starts[partition] ?? 0;
    const isWhole = start === (lineage?.bases[partition] ?? 0);
    if (isWhole || adopted.has(partition)) continue;
    throw new CommandError(
      `The backup has the history of partition ${partition} from offset ${start} on alone, and a ` +
        'state of its views that is later than that time: give a later time, or an earlier backup.',
      EXIT.refused,
    );
  }
}

/** @throws CommandError for a time that the backup does not reach up to */
export function checkTime({ backup, untilMs }: Pick<FillOptions, 'backup' | 'untilMs'>): void {
  const { hlc } = backup.manifest.cut;
  if (untilMs === undefined) return;
  const endMs = hlc === undefined ? 0 : hlcToMs(parseHlc(hlc));
  if (untilMs <= endMs) return;
  throw new CommandError(
    `The backup ends at ${new Date(endMs).toISOString()}: it does not hold all up to that time.`,
    EXIT.refused,
  );
}
