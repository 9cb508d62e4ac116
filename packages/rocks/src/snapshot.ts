import { MemplaneError } from '@memplane/contracts';
import { binding, type NativeHandle } from './native.ts';

/**
 * A fixed state of a store. Keep it short: it holds back what compaction could free. Closing it
 * takes effect when the reads that use it have ended.
 */
export class RocksSnapshot {
  readonly #handle: NativeHandle;
  readonly #released: (snapshot: RocksSnapshot) => void;
  #users = 1;
  #closed = false;

  constructor(db: NativeHandle, released: (snapshot: RocksSnapshot) => void) {
    this.#handle = binding.snapshotCreate(db);
    this.#released = released;
  }

  /** For the store: the native handle, which stays valid until `release`. */
  acquire(): NativeHandle {
    if (this.#closed) throw new MemplaneError('internal', 'A closed snapshot was used');
    this.#users++;
    return this.#handle;
  }

  release(): void {
    this.#users--;
    if (this.#users > 0) return;
    binding.snapshotDestroy(this.#handle);
    this.#released(this);
  }

  /** May be called again. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.release();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
