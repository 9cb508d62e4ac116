import { stat } from 'node:fs/promises';

/**
 * Asks every `periodMs` whether a file is another one: by its state, not by events, since a mounted
 * secret changes by a link to another folder.
 */
export class FileChanges {
  readonly #file: string;
  readonly #periodMs: number;
  #state = '';
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(file: string, periodMs: number) {
    this.#file = file;
    this.#periodMs = periodMs;
  }

  /** Call it before the file is read, so that no change between is missed. */
  async mark(): Promise<void> {
    this.#state = await this.#ask();
  }

  /** @param onChange one at a time; a file that is gone is no change */
  start(onChange: () => Promise<void>): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(async () => {
      const state = await this.#ask().catch(() => this.#state);
      if (state !== this.#state && !this.#isClosed) {
        this.#state = state;
        await onChange();
      }
      this.start(onChange);
    }, this.#periodMs).unref();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #ask(): Promise<string> {
    const { ino, size, mtimeMs } = await stat(this.#file);
    return `${ino} ${size} ${mtimeMs}`;
  }
}
