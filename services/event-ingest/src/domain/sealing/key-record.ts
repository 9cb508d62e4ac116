import { MemplaneError } from '@memplane/contracts';
import type { WrappedSecret } from './master-keys.ts';

/** The key of one entity as the strong store has it. It is gone once the entity is erased. */
export interface KeyRecord extends WrappedSecret {
  readonly id: string;
}

/** In the strong store, the names of all keys of entities of a tenant begin with it. */
export const KEY_RECORDS = 'key';

export function keyRecordName(tenant: string, entity: string): string {
  // Entities have one slash and no colon; keys of the store the other way round.
  return `${tenant}.${KEY_RECORDS}.${entity.replace('/', ':')}`;
}

/** Whether a record of the strong store is the key of an entity: no copy of it may be kept. */
export function isKeyRecord(name: string): boolean {
  return name.startsWith(`${KEY_RECORDS}.`, name.indexOf('.') + 1);
}

const FORMAT_VERSION = 1;

export function encodeKeyRecord(record: KeyRecord): string {
  return JSON.stringify({ format: FORMAT_VERSION, ...record });
}

/** @throws MemplaneError `storage_damaged` for another format */
export function decodeKeyRecord(text: string): KeyRecord {
  const { format, ...record } = JSON.parse(text) as KeyRecord & { format: number };
  if (format === FORMAT_VERSION) return record;
  throw new MemplaneError('storage_damaged', `A key of an entity has format ${format}.`);
}
