import { type Lineage, parentOf } from '@memplane/event-log';
import type { BackupReader } from './backup-reader.ts';
import { upTo } from './restore-log.ts';

/** The shape of a log that is to be restored. */
export interface RestoredShape {
  readonly epoch: number;
  /** The first offset of each partition's own. */
  readonly starts: readonly number[];
  /** Of a log that grew. */
  readonly lineage: Lineage | undefined;
}

/**
 * The shape of the log as a backup has it. Up to a time of before a growth, partitions are split where
 * their parents then end: what is appended from there on goes on without a gap.
 * @param untilMs as of `restoreLog`
 * @throws MemplaneError `storage_damaged` for a backup that is
 */
export async function restoredShape(
  backup: BackupReader,
  untilMs: number | undefined,
): Promise<RestoredShape> {
  const { epoch, starts, lineage } = backup.manifest.cut;
  if (lineage === undefined || untilMs === undefined) return { epoch, starts, lineage };
  const bases: number[] = [];
  const ends: number[] = [];
  for (const [partition, known] of lineage.bases.entries()) {
    const parent = parentOf(lineage, partition);
    const base = parent === undefined ? known : Math.min(known, ends[parent] ?? 0);
    bases.push(base);
    ends.push(await endOf(backup, partition, untilMs, base));
  }
  const moved = starts.map((start, p) => (start === lineage.bases[p] ? (bases[p] ?? 0) : start));
  return { epoch, starts: moved, lineage: { ...lineage, bases } };
}

/** The last offset of each partition that is restored; one before its start: none. */
export async function restoredEnds(
  backup: BackupReader,
  { starts }: RestoredShape,
  untilMs: number | undefined,
): Promise<readonly number[]> {
  if (untilMs === undefined) return backup.manifest.cut.offsets;
  const ends: number[] = [];
  for (const [partition, start] of starts.entries()) {
    ends.push((await endOf(backup, partition, untilMs, start)) - 1);
  }
  return ends;
}

/** The offset after the last one of a partition that is restored. */
async function endOf(
  backup: BackupReader,
  partition: number,
  untilMs: number,
  none: number,
): Promise<number> {
  let end = none;
  for await (const records of backup.records(partition)) {
    const wanted = upTo(records, untilMs);
    end = (wanted.at(-1)?.offset ?? end - 1) + 1;
    if (wanted.length < records.length) break;
  }
  return end;
}
