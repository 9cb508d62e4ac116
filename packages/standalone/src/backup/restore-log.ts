import { hlcToMs } from '@memplane/clock';
import { DEFAULT_TENANT } from '@memplane/contracts';
import { identityOf } from '@memplane/event-ingest/backup';
import type { LogInfo, LogRecord, LogWriter, NewRecord } from '@memplane/event-log';
import { emptied } from '@memplane/runtime/sealing';
import type { BackupReader } from './backup-reader.ts';

export interface LogRestore {
  /** Of a log of that shape, which has nothing. */
  readonly writer: LogWriter;
  /** Where the partitions begin. */
  readonly starts: readonly number[];
  /** No event with a later stamp is restored, in milliseconds since 1970. */
  readonly untilMs: number | undefined;
  /** Entities whose events lose their payloads, by partition key. */
  readonly isErased: (partitionKey: string) => boolean;
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
const DIGEST_BYTES = 16;

/**
 * Writes the events of a backup into a new log of another identity, at their old offsets. Stamps of
 * a partition rise, so that what is at or before a time is a beginning of it.
 * @throws MemplaneError `storage_damaged`, what appending throws; Error where somebody else appends
 */
export async function restoreLog(backup: BackupReader, restore: LogRestore): Promise<RestoredLog> {
  const { writer, starts, isErased } = restore;
  const ends: number[] = [];
  let events = 0;
  for (const [partition, start] of starts.entries()) {
    let end = start - 1;
    for await (const records of backup.records(partition)) {
      const wanted = upTo(records, restore.untilMs);
      for (const batch of batchesOf(wanted)) {
        await appendInPlace(
          writer,
          batch.map((record) => withoutErased(record, isErased)),
        );
        restore.onEvents(batch.length);
        events += batch.length;
      }
      end = wanted.at(-1)?.offset ?? end;
      if (wanted.length < records.length) break;
    }
    ends.push(end);
  }
  return { info: writer.info, ends, events };
}

/** An erasure is no payload: it stays. */
function withoutErased(record: LogRecord, isErased: LogRestore['isErased']): LogRecord {
  const { key, value } = record;
  if (!isErased(key) || isErasure(value)) return record;
  return { ...record, value: emptied(value) };
}

function isErasure(value: Buffer): boolean {
  const { data } = JSON.parse(value.toString('utf8')) as { data?: { erased?: unknown } };
  return data?.erased !== undefined;
}

/**
 * Appends records that have their offsets already.
 * @throws Error where they come to stand elsewhere
 */
export async function appendInPlace(writer: LogWriter, batch: readonly LogRecord[]): Promise<void> {
  const offsets = await writer.append(batch.map(newRecordOf));
  const at = batch.findIndex(({ offset }, i) => offsets[i] !== offset);
  if (at < 0) return;
  const { partition, offset } = batch[at] as LogRecord;
  throw new Error(
    `Offset ${offset} of partition ${partition} came to stand at ${offsets[at]}: something else ` +
      'writes to the new log. Make its stores anew.',
  );
}

/** Those with a stamp at or before a time. */
export function upTo(
  records: readonly LogRecord[],
  untilMs: number | undefined,
): readonly LogRecord[] {
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
