import { Worker } from 'node:worker_threads';
import type { LoadData, LoadOrder, LoadResult } from './http-load.ts';

/** Load over HTTP from a thread of its own; ids go on from one run to the next. */
export class LoadThread {
  readonly #worker: Worker;
  #nextId: number;

  constructor(workerData: LoadData, firstId = 0) {
    this.#worker = new Worker(new URL('./http-load.ts', import.meta.url), { workerData });
    this.#nextId = firstId;
  }

  /** @throws Error when a request was not answered with 201 */
  async run(order: Omit<LoadOrder, 'firstId'>): Promise<LoadResult> {
    const { promise, resolve, reject } = Promise.withResolvers<LoadResult>();
    this.#worker.once('message', resolve).once('error', reject);
    this.#worker.postMessage({ ...order, firstId: this.#nextId } satisfies LoadOrder);
    const result = await promise;
    this.#worker.off('error', reject);
    this.#nextId = result.nextId;
    if (result.errors > 0) throw new Error(`${result.errors} requests failed`);
    return result;
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}
