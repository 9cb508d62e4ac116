import type { ErrorCode, MemplaneError } from '@memplane/contracts';

const STORAGE_CODES: ReadonlySet<ErrorCode> = new Set([
  'storage_full',
  'storage_unavailable',
  'storage_damaged',
]);

/**
 * Remembers the last trouble with storage for as long as it is fresh. Appends are tried all the
 * same, so that the service recovers by itself; only readiness goes by this, and it comes back
 * after a while even when nobody appends, since otherwise nobody would try.
 */
export class StorageState {
  readonly #retryMs: number;
  #code: ErrorCode | undefined;
  #at = 0;

  constructor(retryMs: number) {
    this.#retryMs = retryMs;
  }

  record(error: MemplaneError | undefined, atMs: number = performance.now()): void {
    if (error === undefined) this.#code = undefined;
    else if (STORAGE_CODES.has(error.code)) {
      this.#code = error.code;
      this.#at = atMs;
    }
  }

  /** The code of a trouble that is fresh. */
  problem(atMs: number = performance.now()): ErrorCode | undefined {
    return atMs - this.#at < this.#retryMs ? this.#code : undefined;
  }
}
