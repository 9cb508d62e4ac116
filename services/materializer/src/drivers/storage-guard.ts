import type { MemplaneError } from '@memplane/contracts';
import { probeFolder } from '@memplane/rocks';
import type { ViewStore } from './view-store.ts';

/**
 * Brings the store back after the storage refused writes: once a file can be written beside it, the
 * store is opened anew, since RocksDB may refuse writes for good after a failure. Concurrent calls
 * share one attempt.
 */
export class StorageGuard {
  readonly #store: ViewStore;
  #running: Promise<void> | undefined;
  #failedAt = Number.NEGATIVE_INFINITY;

  constructor(store: ViewStore) {
    this.#store = store;
  }

  /** Resolves when writing is worth another attempt. @throws what the storage still says */
  recover(problem: MemplaneError): Promise<void> {
    if (problem.code !== 'storage_full' && problem.code !== 'storage_unavailable') {
      return Promise.resolve();
    }
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #run(): Promise<void> {
    await probeFolder(this.#store.dir);
    // The first time the store itself may do; when it keeps refusing on a sound disk, open it anew.
    const now = performance.now();
    const again = now - this.#failedAt < 60_000;
    this.#failedAt = now;
    if (again) await this.#store.reopen();
  }
}
