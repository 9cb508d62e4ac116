import { type CloudEvent, DEFAULT_TENANT, MemplaneError } from '@memplane/contracts';
import type { LogRecord } from '@memplane/event-log';
import type { LogEvent } from './state.ts';

export interface ParsedRecord extends LogEvent {
  readonly tenant: string;
  readonly entity: string;
  /** The record's value as it is in the log. */
  readonly bytes: Buffer;
}

/**
 * Reads a record of the log.
 * @throws MemplaneError `storage_damaged` with the position for what no writer of ours appended.
 */
export function parseRecord(record: LogRecord): ParsedRecord {
  const { partition, offset, hlc, value } = record;
  let event: CloudEvent;
  try {
    event = JSON.parse(value.toString('utf8', 0, value.length)) as CloudEvent;
  } catch (cause) {
    throw damaged(partition, offset, 'it is not JSON', cause);
  }
  const { id, subject, type, data } = event;
  if (typeof id !== 'string' || typeof subject !== 'string' || typeof type !== 'string') {
    throw damaged(partition, offset, 'it is no CloudEvent', undefined);
  }
  if (typeof data !== 'object' || data === null) {
    throw damaged(partition, offset, 'its data is no object', undefined);
  }
  return {
    offset,
    hlc,
    event,
    tenant: event.tenant ?? DEFAULT_TENANT,
    entity: subject,
    bytes: value,
  };
}

function damaged(partition: number, offset: number, why: string, cause: unknown): MemplaneError {
  return new MemplaneError(
    'storage_damaged',
    `The record at partition ${partition}, offset ${offset} can not be read: ${why}.`,
    { cause, extra: { partition, offset } },
  );
}
