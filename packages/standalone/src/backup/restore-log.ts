import { hlcToMs } from '@memplane/clock';
import { DEFAULT_TENANT } from '@memplane/contracts';
import { identityOf } from '@memplane/event-ingest/backup';
import { type LogInfo, type LogRecord, type NewRecord, openEmbeddedLog } from '@memplane/event-log';
import type { BackupReader } from './backup-reader.ts';

export interface LogRestore {
  readonly dir: string;
  readonly logId: string;
  /** No event with a later stamp is restored, in milliseconds since 1970. */
  readonly untilMs: number | undefined;
  readonly onEvents: (events: number) => void;
}

export interface RestoredLog {
  readonly info: LogInfo;
  /** The last offset of each partition; one before its start: none. */
  readonly ends: readonly number[];
  readonly events: number;
}

const APPEND_BYTES = 1024 * 1024;
const APPEND_RECORDS = 1_000;
/** Nothing waits for a stamp here: those of the records are old. */
const PRODUCE_DEADLINE_MS = 3_600_000;
const DIGEST_BYTES = 16;

/**
 * Writes the events of a backup into a new log of another identity, at their old offsets. Stamps of
 * a partition rise, so that what is at or before a time is a beginning of it.
 */
export async function restoreLog(backup: BackupReader, restore: LogRestore): Promise<RestoredLog> {
  const { epoch, starts, offsets } = backup.manifest.cut;
  const { writer } = await openEmbeddedLog({
    dir: restore.dir,
    partitions: offsets.length,
    produceDeadlineMs: PRODUCE_DEADLINE_MS,
    newLogId: () => restore.logId,
    newEpoch: epoch,
    newStarts: starts,
  });
  try {
    const ends: number[] = [];
    let events = 0;
    for (const partition of offsets.keys()) {
      let end = (starts[partition] ?? 0) - 1;
      for await (const records of backup.records(partition)) {
        const wanted = upTo(records, restore.untilMs);
        for (const batch of batchesOf(wanted)) {
          await writer.append(batch.map(newRecordOf));
          restore.onEvents(batch.length);
          events += batch.length;
        }
        end = wanted.at(-1)?.offset ?? end;
        if (wanted.length < records.length) break;
      }
      ends.push(end);
    }
    return { info: writer.info, ends, events };
  } finally {
    await writer.close();
  }
}

function upTo(records: readonly LogRecord[], untilMs: number | undefined): readonly LogRecord[] {
  if (untilMs === undefined) return records;
  const beyond = records.findIndex(({ hlc }) => hlcToMs(hlc) > untilMs);
  return beyond < 0 ? records : records.slice(0, beyond);
}

function* batchesOf(records: readonly LogRecord[]): Generator<readonly LogRecord[]> {
  let batch: LogRecord[] = [];
  let bytes = 0;
  for (const record of records) {
    batch.push(record);
    bytes += record.value.length;
    if (bytes < APPEND_BYTES && batch.length < APPEND_RECORDS) continue;
    yield batch;
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield batch;
}

/** With the digests by which the log knows an event again that is sent twice. */
function newRecordOf({ partition, key, value, hlc }: LogRecord): NewRecord {
  const event = JSON.parse(value.toString('utf8')) as Record<string, string | undefined>;
  const { tenant = DEFAULT_TENANT, subject = '', id = '', digest = '' } = event;
  const contentDigest = Buffer.alloc(DIGEST_BYTES);
  contentDigest.write(digest, 'base64url');
  const idDigest = Buffer.from(identityOf(tenant, subject, id), 'latin1');
  return { partition, key, value, hlc, idDigest, contentDigest };
}
