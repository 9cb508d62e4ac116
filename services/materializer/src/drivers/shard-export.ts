import type { RocksSnapshot } from '@memplane/rocks';
import { decodeShard } from '../domain/shard-record.ts';
import { encodeEntries } from '../domain/snapshot-format.ts';
import { rowsOf } from './shard-snapshots.ts';
import { compressed } from './snapshot-codec.ts';
import { shardKey, type ViewStore } from './view-store.ts';

/** A shard on its way out. Whoever does not read the content to its end must return its iterator. */
export interface ShardExport {
  /** The last offset applied. */
  readonly offset: number;
  /** As a blob of a snapshot, once. It breaks off when the store is closed, or opened anew. */
  readonly content: AsyncIterable<Buffer>;
}

/** All rows of a shard, as of the call; undefined when it has applied nothing. */
export async function exportShard(
  store: ViewStore,
  partition: number,
): Promise<ShardExport | undefined> {
  const { rocks } = store;
  const snapshot = rocks.snapshot();
  try {
    const row = await rocks.get(shardKey(partition), snapshot);
    if (row === null) {
      snapshot.close();
      return undefined;
    }
    const { applied, tenants } = decodeShard(row);
    const told = { entries: 0, bytes: 0, sha256: '' };
    const rows = rowsOf(rocks, snapshot, partition, tenants);
    const chunks = compressed(encodeEntries(rows, told));
    return { offset: applied, content: closing(chunks, snapshot) };
  } catch (error) {
    snapshot.close();
    throw error;
  }
}

/** Closes the snapshot at the end, also when nothing was ever read: a generator would not. */
function closing(
  chunks: AsyncGenerator<Buffer, void, undefined>,
  snapshot: RocksSnapshot,
): AsyncIterable<Buffer> {
  return {
    [Symbol.asyncIterator]: () => ({
      async next() {
        try {
          const step = await chunks.next();
          if (step.done) snapshot.close();
          return step;
        } catch (error) {
          snapshot.close();
          throw error;
        }
      },
      async return() {
        await chunks.return();
        snapshot.close();
        return { done: true, value: undefined };
      },
    }),
  };
}
