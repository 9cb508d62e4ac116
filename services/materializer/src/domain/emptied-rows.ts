import { partitionKey } from '@memplane/contracts';
import { emptied } from '@memplane/runtime/sealing';
import { isEventRow, PLANE, type Table } from './keys.ts';
import { entityOfRow } from './row-entity.ts';
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
/** Those whose rows have content. */
const TABLES: ReadonlySet<Table> = new Set(['h', 'm', 'u', 'v', 'x', 'y']);

/**
 * A row of a shard as it would be if the events of some entities had no payload; undefined: it would
 * not be there. Counts, offsets, stamps and ids stay.
 * @param isErased by partition key
 */
export function emptiedRow(
  row: SnapshotEntry,
  isErased: (partitionKey: string) => boolean,
): SnapshotEntry | undefined {
  const tenant = row.key.toString('latin1', 0, row.key.indexOf(0));
  if (tenant === PLANE) return row;
  const tableAt = tenant.length + SHARD_CHARS;
  const table = String.fromCharCode(row.key[tableAt] ?? 0) as Table;
  if (!TABLES.has(table)) return row;
  if (!isErased(partitionKey(tenant, entityOfRow(row.key, tableAt)))) return row;
  const value = emptiedValue(table, row);
  return value === undefined ? undefined : { key: row.key, value };
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
