import { setTimeout as pause } from 'node:timers/promises';
import { MemplaneError } from '@memplane/contracts';
import type { StrongStore, WriteOutcome } from '@memplane/runtime/strong';
import { decodeErasures, encodeErasures } from '../domain/erasures/erasure-record.ts';

const ATTEMPTS_MAX = 30;
const PAUSE_MS_MAX = 40;

/** Records of erasures in the strong store, which several instances may change. */
export class ErasureRecords {
  readonly #store: StrongStore;

  constructor(store: StrongStore) {
    this.#store = store;
  }

  async get<T>(key: string): Promise<T | undefined> {
    const found = await this.#store.get(key);
    return found && decodeErasures<T>(found.value);
  }

  /**
   * Changes a record by compare-and-set, again while others come in between; durable on return.
   * @param change is given the record as it is, and says what it is to be, undefined for none; called
   * again, also when an earlier try was written and its answer lost: twice has to be as good as once
   * @returns what the record was
   * @throws MemplaneError `storage_unavailable`, what store and `change` throw
   */
  async change<T extends object>(
    key: string,
    change: (before: T | undefined) => T | undefined,
  ): Promise<T | undefined> {
    let outcome: WriteOutcome | undefined;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      if (attempt > 0) await pause(1 + Math.random() * PAUSE_MS_MAX);
      const found = await this.#store.get(key);
      const before = found && decodeErasures<T>(found.value);
      const next = change(before);
      const text = next && encodeErasures(next);
      if (text === found?.value) return before;
      outcome = await this.#write(key, text, found?.version);
      if (outcome.kind === 'written') return before;
    }
    throw new MemplaneError('storage_unavailable', 'A record of erasures was not written.', {
      cause: outcome?.kind === 'unknown' ? outcome.cause : undefined,
      retryAfterMs: 1_000,
    });
  }

  #write(
    key: string,
    text: string | undefined,
    version: string | undefined,
  ): Promise<WriteOutcome> {
    if (version === undefined) return this.#store.create(key, text ?? '');
    if (text === undefined) return this.#store.delete(key, version);
    return this.#store.compareAndSet(key, text, version);
  }
}
