import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ViewStore } from '../../services/materializer/src/drivers/view-store.ts';

const WRITE_BUFFER_BYTES = 16 * 1024 * 1024;
/** As the materializer does. */
const BATCHES_AT_ONCE = 3;

/** An empty store of the views in a folder that goes with it. */
export async function withViewStore<T>(work: (store: ViewStore) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'memplane-bench-'));
  const store = await ViewStore.open(dir, WRITE_BUFFER_BYTES);
  try {
    return await work(store);
  } finally {
    await store.close();
    await rm(dir, { recursive: true, force: true });
  }
}

/** Works on all partitions, a few at a time. */
export async function inTurns(
  partitions: number,
  work: (partition: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: BATCHES_AT_ONCE }, async () => {
      while (next < partitions) await work(next++);
    }),
  );
}
