import { binding, type NativeHandle, type NativeOperation } from './native.ts';

/**
 * Changes that become visible, and survive a crash, all or none. Keys and values are not copied:
 * leave them unchanged until the write is answered. A batch may be written once.
 */
export class WriteBatch {
  readonly #columnFamily: NativeHandle;
  readonly #operations: NativeOperation[] = [];
  #bytes = 0;

  constructor(columnFamily: NativeHandle) {
    this.#columnFamily = columnFamily;
  }

  put(key: Uint8Array, value: Uint8Array): this {
    this.#bytes += key.length + value.length;
    this.#operations.push({ type: binding.PUT, columnFamily: this.#columnFamily, key, value });
    return this;
  }

  delete(key: Uint8Array): this {
    this.#bytes += key.length;
    this.#operations.push({ type: binding.DELETE, columnFamily: this.#columnFamily, key });
    return this;
  }

  /** Removes every key from `start` (inclusive) to `end` (exclusive). */
  deleteRange(start: Uint8Array, end: Uint8Array): this {
    this.#bytes += start.length + end.length;
    const columnFamily = this.#columnFamily;
    this.#operations.push({ type: binding.DELETE_RANGE, columnFamily, start, end });
    return this;
  }

  /** Number of changes. */
  get size(): number {
    return this.#operations.length;
  }

  /** Bytes of keys and values. */
  get byteLength(): number {
    return this.#bytes;
  }

  /** For the store that writes it. */
  get operations(): readonly NativeOperation[] {
    return this.#operations;
  }
}
