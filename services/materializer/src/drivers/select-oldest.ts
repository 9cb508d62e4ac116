import type { RocksEntry, RocksSnapshot, RocksStore } from '@memplane/rocks';
import { prefixRange, ShardKeys, type Table } from '../domain/keys.ts';

/** A row of some table by the offset that it is about. */
export interface PlacedRow {
  readonly keys: ShardKeys;
  readonly entity: string;
  readonly offset: number;
}

export interface Selection {
  readonly rows: readonly PlacedRow[];
  /** Whether there may be more beyond the last. */
  readonly isFull: boolean;
}

/** Reads what a row is about; undefined for one that does not count. */
export type Placing = (row: RocksEntry, keys: ShardKeys) => PlacedRow | undefined;

/** Rows that one selection holds. */
const SELECTED_ROWS_MAX = 16_384;

/**
 * The rows with the lowest offsets, in their order, of tables that are kept in another one: one pass
 * over them finds the next ten thousands, so that reading all takes few passes and bounded memory.
 */
export async function selectOldest(
  rocks: RocksStore,
  snapshot: RocksSnapshot,
  scope: { readonly partition: number; readonly tenants: readonly string[] },
  tables: readonly (readonly [Table, Placing])[],
  rowsMax = SELECTED_ROWS_MAX,
): Promise<Selection> {
  let found: PlacedRow[] = [];
  let isFull = false;
  const cut = () => {
    found.sort((a, b) => a.offset - b.offset);
    if (found.length <= rowsMax) return;
    found = found.slice(0, rowsMax);
    isFull = true;
  };
  for (const tenant of scope.tenants) {
    const keys = new ShardKeys(tenant, scope.partition);
    for (const [table, place] of tables) {
      for await (const rows of rocks.scan({ ...prefixRange(keys.table(table)), snapshot })) {
        for (const row of rows) {
          const placed = place(row, keys);
          if (placed !== undefined) found.push(placed);
        }
        if (found.length >= 2 * rowsMax) cut();
      }
    }
  }
  cut();
  return { rows: found, isFull };
}
