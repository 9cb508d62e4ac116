/**
 * Writes recorded batches into an empty store of the views, in a thread of its own: the records
 * would else weigh on the heap, and so on the time, of what they are compared with.
 */
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import type { WriteBatch } from '@memplane/rocks';
import { inTurns, withViewStore } from './view-stores.ts';

type Operation = WriteBatch['operations'][number];

/** A batch without an object a row. A value's length of 0 stands for a deletion, n + 1 for n bytes. */
export interface PackedBatch {
  readonly bytes: Uint8Array;
  readonly lengths: Uint32Array;
}

/** Batches of each partition, in their order. */
export type PackedBatches = readonly (readonly PackedBatch[])[];

export function packBatch(operations: readonly Operation[]): PackedBatch {
  const parts: Uint8Array[] = [];
  const lengths = new Uint32Array(operations.length * 2);
  for (const [i, { key, value, start }] of operations.entries()) {
    if (start !== undefined || key === undefined) throw new Error('ranges are not replayed');
    parts.push(key);
    lengths[2 * i] = key.length;
    if (value === undefined) continue;
    parts.push(value);
    lengths[2 * i + 1] = value.length + 1;
  }
  return { bytes: new Uint8Array(Buffer.concat(parts)), lengths };
}

interface Row {
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

function unpackBatch({ bytes, lengths }: PackedBatch): Row[] {
  const rows: Row[] = [];
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const take = (length: number) => {
    at += length;
    return all.subarray(at - length, at);
  };
  for (let i = 0; i < lengths.length; i += 2) {
    const key = take(lengths[i]!);
    const valueLength = lengths[i + 1]!;
    rows.push({ key, value: valueLength === 0 ? undefined : take(valueLength - 1) });
  }
  return rows;
}

/** The other side's handle. */
export class ReplayThread {
  readonly #worker: Worker;

  constructor(batches: PackedBatches) {
    this.#worker = new Worker(new URL(import.meta.url), { workerData: null });
    this.#worker.postMessage(batches);
  }

  /** @returns milliseconds that writing all of it took */
  async run(): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#worker.once('message', resolve).once('error', reject);
    this.#worker.postMessage('run');
    try {
      return await promise;
    } finally {
      this.#worker.off('error', reject);
    }
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}

async function replay(batches: readonly (readonly Row[][])[]): Promise<number> {
  return withViewStore(async ({ rocks }) => {
    const started = performance.now();
    await inTurns(batches.length, async (partition) => {
      for (const rows of batches[partition]!) {
        const batch = rocks.batch();
        for (const { key, value } of rows) {
          if (value === undefined) batch.delete(key);
          else batch.put(key, value);
        }
        await rocks.write(batch);
      }
    });
    return performance.now() - started;
  });
}

if (!isMainThread) {
  const port = parentPort!;
  let batches: readonly (readonly Row[][])[] = [];
  port.on('message', async (message: PackedBatches | 'run') => {
    if (message === 'run') port.postMessage(await replay(batches));
    else batches = message.map((partition) => partition.map(unpackBatch));
  });
}
