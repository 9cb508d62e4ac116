import { MemplaneError } from '@memplane/contracts';
import type { NativeIterator, RocksEntry } from './iterator.ts';

/**
 * A scan under way. The store keeps its cursors, so that closing it does not wait for a reader
 * that has stopped pulling: it closes the cursor between two reads instead.
 */
export class ScanCursor {
  readonly #iterator: NativeIterator;
  readonly #released: () => void;
  #last: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;

  constructor(iterator: NativeIterator, released: () => void) {
    this.#iterator = iterator;
    this.#released = released;
  }

  /** The next rows; fewer than asked for means that there are no more. */
  read(rows: number): Promise<RocksEntry[]> {
    if (this.#closing !== undefined) {
      throw new MemplaneError('shutting_down', 'The store was closed during a scan');
    }
    const result = this.#iterator.read(rows);
    this.#last = result.catch(() => {});
    return result;
  }

  /** Waits for a read under way; may be called again. */
  close(): Promise<void> {
    this.#closing ??= this.#last
      .then(() => this.#iterator.close())
      .catch(() => {})
      .finally(this.#released);
    return this.#closing;
  }
}
