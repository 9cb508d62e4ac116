import type { RocksSnapshot, RocksStore } from '@memplane/rocks';
import { offsetAtEnd, prefixRange, type ShardKeys, type Table } from '../domain/keys.ts';
import { entityOfRow } from '../domain/row-entity.ts';
import { decodeId, decodeMemory, decodeOffset } from '../domain/rows.ts';

/** By entity, the offset before which all of it is erased. */
export type Erasures = ReadonlyMap<string, number>;

const CHUNK_ROWS = 512;
/** Whole events are in memory at once. */
const EVENT_ROWS = 16;

/** Of the tables whose keys do not begin with the entity: the offset that a row is of. */
const OFFSETS: readonly (readonly [Table, (key: Buffer, value: Buffer) => number])[] = [
  ['x', (_key, value) => decodeOffset(value)],
  ['y', (key) => offsetAtEnd(key)],
  ['i', (_key, value) => decodeId(value).offset],
  ['e', (key) => offsetAtEnd(key)],
];

/**
 * All rows that some entities of a tenant have of before their erasures, in all tables of a shard; those
 * that do not begin with the entity are found by reading them all. In steps.
 */
export async function* erasedRows(
  rocks: RocksStore,
  keys: ShardKeys,
  erasures: Erasures,
  snapshot?: RocksSnapshot,
): AsyncGenerator<{ readonly table: Table; readonly key: Buffer; readonly value: Buffer }[]> {
  for (const [entity, before] of erasures) {
    for (const table of ['v', 'u', 'm'] as const) {
      const range = prefixRange(`${keys.table(table) + entity}\x00`);
      const chunkRows = table === 'v' ? EVENT_ROWS : CHUNK_ROWS;
      for await (const rows of rocks.scan({ ...range, snapshot, chunkRows })) {
        const isOld = ({ key, value }: { key: Buffer; value: Buffer }) => {
          if (table === 'm') return decodeMemory(value).offset < before;
          return offsetAtEnd(key, table === 'v' ? 1 : 0) < before;
        };
        yield rows.filter(isOld).map((row) => ({ table, ...row }));
      }
    }
  }
  for (const [table, offsetOf] of OFFSETS) {
    const prefix = keys.table(table);
    for await (const rows of rocks.scan({
      ...prefixRange(prefix),
      snapshot,
      chunkRows: CHUNK_ROWS,
    })) {
      const old = rows.filter(({ key, value }) => {
        const entity = entityOfRow(key, prefix.length - 1);
        return offsetOf(key, value) < (erasures.get(entity) ?? -1);
      });
      yield old.map((row) => ({ table, ...row }));
    }
  }
}
