import type { LogFile } from './file-system.ts';

const WINDOW_BYTES = 2 * 1024 * 1024;

/** Reads a file forward in large pieces, for a scan at recovery. */
export class FileWindow {
  readonly #file: LogFile;
  #bytes: Buffer = Buffer.allocUnsafeSlow(WINDOW_BYTES);
  #from = 0;
  #length = 0;

  constructor(file: LogFile) {
    this.#file = file;
  }

  /** Up to `length` bytes at `position`, fewer only at the end. Valid until the next call. */
  at(position: number, length: number): Buffer {
    const within = position - this.#from;
    if (within < 0 || within + length > this.#length) {
      if (length > this.#bytes.length) this.#bytes = Buffer.allocUnsafeSlow(length);
      this.#from = position;
      this.#length = this.#file.readSync(this.#bytes, this.#bytes.length, position);
      return this.#bytes.subarray(0, Math.min(length, this.#length));
    }
    return this.#bytes.subarray(within, within + length);
  }
}
