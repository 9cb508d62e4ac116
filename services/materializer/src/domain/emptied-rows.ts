import { partitionKey } from '@memplane/contracts';
import { emptied } from '@memplane/runtime/sealing';
import { isEventRow, PLANE, type Table } from './keys.ts';
import { ROW_OWNERS } from './row-owners.ts';
import {
  decodeHead,
  decodeHistory,
  decodeSnapshot,
  encodeHead,
  encodeHistory,
  encodeSnapshot,
} from './rows.ts';
import type { SnapshotEntry } from './snapshot-format.ts';

const NOTHING = '{}';
const NO_STATE = '{"attributes":{},"memories":[]}';
/** Between the tenant and the table: 0x00 and the partition. */
const SHARD_CHARS = 3;
const OWNERS = new Map(ROW_OWNERS);

/**
 * A row of a shard as it would be if the events of some entities had no payload; undefined: it would
 * not be there. Counts, offsets, stamps and ids stay.
 * @param isErased by partition key
 */
export function emptiedRow(
  row: SnapshotEntry,
  isErased: (partitionKey: string) => boolean,
): SnapshotEntry | undefined {
  const key = row.key.toString('latin1');
  const tenant = key.slice(0, key.indexOf('\x00'));
  if (tenant === PLANE) return row;
  const tableAt = tenant.length + SHARD_CHARS;
  const table = key[tableAt] as Table;
  const entity = entityOf(table, key.slice(tableAt + 1), row.value);
  if (entity === undefined || !isErased(partitionKey(tenant, entity))) return row;
  const value = emptiedValue(table, row);
  return value === undefined ? undefined : { key: row.key, value };
}

/** Whose content a row has; undefined: it has none. */
function entityOf(table: Table, key: string, value: Buffer): string | undefined {
  switch (table) {
    case 'h':
      return key;
    case 'm':
    case 'u':
    case 'v':
      return key.slice(0, key.indexOf('\x00'));
    case 'x':
    case 'y':
      return OWNERS.get(table)?.(key, value).entity;
    default:
      return undefined;
  }
}

function emptiedValue(table: Table, { key, value }: SnapshotEntry): Buffer | undefined {
  if (table === 'h') {
    const none = { memoryCount: 0, memoryBytes: 0, since: [] };
    const attributes = { attributes: NOTHING, attributesBytes: NOTHING.length };
    return encodeHead({ ...decodeHead(value), ...none, ...attributes });
  }
  if (table !== 'v') return undefined;
  if (isEventRow(key)) {
    const { rejected, sequence, maxHlc, event } = decodeHistory(value);
    return encodeHistory(rejected, sequence, maxHlc, emptied(event));
  }
  const { sequence, hlc } = decodeSnapshot(value);
  return encodeSnapshot(sequence, hlc, NO_STATE);
}
