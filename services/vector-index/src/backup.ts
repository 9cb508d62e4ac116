import { type ComputedVectorLine, computedVectorLineSchema } from '@memplane/contracts';
import { checkedExport } from '@memplane/runtime';
import type { StoredVector } from './domain/ports.ts';
import { computedDirOf, StoredComputedVectors } from './drivers/computed-vectors.ts';

export { PartitionDigest } from './domain/partition-digest.ts';
export type { EventLine } from './domain/ports.ts';

const BATCH_VECTORS = 256;

/** What an export of computed vectors holds, to be put beside an index that is not there yet. */
export interface VectorsRestore {
  /** The folder of the index. */
  readonly indexDir: string;
  /** The lines of an export, parsed. */
  readonly lines: AsyncIterable<unknown>;
  /** How problems call it. */
  readonly name: string;
}

/**
 * Keeps exported vectors again. The index itself is built from the log, and finds them.
 * @returns how many
 * @throws MemplaneError `storage_damaged` for lines that are no whole export, what the storage throws
 */
export async function restoreComputedVectors(restore: VectorsRestore): Promise<number> {
  let computed: StoredComputedVectors | undefined;
  let count = 0;
  let batch: StoredVector[] = [];
  const flush = () => {
    if (batch.length === 0) return;
    computed ??= new StoredComputedVectors(computedDirOf(restore.indexDir));
    computed.putStored(batch);
    count += batch.length;
    batch = [];
  };
  try {
    for await (const line of checkedVectorLines(restore.lines, restore.name)) {
      if ('model' in line) batch.push(storedOf(line));
      if (batch.length >= BATCH_VECTORS) flush();
    }
    flush();
    return count;
  } finally {
    computed?.close();
  }
}

/** @throws MemplaneError `storage_damaged`, see `checkedExport` */
export function checkedVectorLines(
  lines: AsyncIterable<unknown>,
  name: string,
): AsyncGenerator<ComputedVectorLine> {
  const isItem = (line: ComputedVectorLine) => 'model' in line;
  return checkedExport(lines, name, { schema: computedVectorLineSchema, isItem, items: 'vectors' });
}

function storedOf(line: Extract<ComputedVectorLine, { model: string }>): StoredVector {
  const { model, textHash, vector } = line;
  return {
    model,
    textHash: Buffer.from(textHash, 'base64url'),
    vector: Buffer.from(vector, 'base64'),
  };
}
