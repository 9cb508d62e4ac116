import type { LogRecord } from '@memplane/event-log';

/** In what a record says before its data, which holds what senders wrote. */
const HEADER_BYTES_MAX = 6 * 1024;
const ZONE = /,"zone":"(?:\w+)"(?:,"sequence":(\d+),"batchend":(\d+))?/;

/**
 * Events that were appended to a strong entity together are applied together. Of records that were
 * read in order, those are kept whose batch is whole.
 * @returns none where all are of one batch that goes on: more have to be read
 */
export function wholeBatches(records: readonly LogRecord[]): readonly LogRecord[] {
  const last = records.at(-1);
  if (last === undefined) return records;
  const header = last.value.toString('latin1', 0, HEADER_BYTES_MAX);
  // The first one is the plane's own: senders' quotes are escaped in all that stands before it.
  const [, sequence, end] = ZONE.exec(header) ?? [];
  if (sequence === undefined || sequence === end) return records;
  return records.slice(0, -batchLength(records, last.key, end));
}

/** Of the records at the end, how many are of the batch that ends at this sequence. */
function batchLength(records: readonly LogRecord[], key: string, end: string | undefined): number {
  let from = records.length;
  while (from > 0) {
    const record = records[from - 1];
    if (record?.key !== key) break;
    const header = record.value.toString('latin1', 0, HEADER_BYTES_MAX);
    const [, , itsEnd] = ZONE.exec(header) ?? [];
    if (itsEnd !== end) break;
    from--;
  }
  return records.length - from;
}
