import type { Table } from './keys.ts';
import { splitEntry } from './query-plan.ts';
import { decodeId, decodeOffset } from './rows.ts';

/** A row that tells of an entity. */
export interface OwnedRow {
  readonly entity: string;
  readonly offset: number;
}

type OwnerOf = (key: string, value: Buffer) => OwnedRow;

/** Of the tables whose keys do not begin with the entity: whose row it is, by its key in the table. */
export const ROW_OWNERS: readonly (readonly [Table, OwnerOf])[] = [
  ['x', (key, value) => ({ entity: splitEntry(key).rest, offset: decodeOffset(value) })],
  ['y', (key) => ownerAtEnd(splitEntry(key).rest)],
  ['i', (key, value) => ({ entity: afterCounted(key), offset: decodeId(value).offset })],
  ['e', (key) => ownerAtEnd(afterCounted(key).slice(afterCounted(key).indexOf('\x00') + 1))],
];

/** `entity 0x00 offset` */
function ownerAtEnd(text: string): OwnedRow {
  const end = text.length - 7;
  const offset = Buffer.from(text.slice(end + 1), 'latin1').readUIntBE(0, 6);
  return { entity: text.slice(0, end), offset };
}

/** What follows a text with its length before it. */
function afterCounted(key: string): string {
  return key.slice(1 + key.charCodeAt(0));
}
