import { stat } from 'node:fs/promises';

/**
 * Says whether a file is another one than before: by its state, not by events, since a mounted
 * secret changes by a link to another folder.
 */
export class FileChanges {
  readonly #file: string;
  #state = '';
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(file: string) {
    this.#file = file;
  }

  /**
   * Whether it is another one than at the last look. Look before the file is read, so that no change
   * between is missed. @throws what `stat` throws for a file that is not there
   */
  async look(): Promise<boolean> {
    const before = this.#state;
    this.forget();
    const { ino, size, mtimeMs } = await stat(this.#file);
    this.#state = `${ino} ${size} ${mtimeMs}`;
    return this.#state !== before;
  }

  /** The next look finds another file, whatever it finds: what was seen could not be read. */
  forget(): void {
    this.#state = '';
  }

  /** Looks every `periodMs`. @param onChange one at a time; a file that is gone is no change */
  start(periodMs: number, onChange: () => Promise<void>): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(async () => {
      const isChanged = await this.look().catch(() => false);
      if (isChanged && !this.#isClosed) await onChange();
      this.start(periodMs, onChange);
    }, periodMs).unref();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }
}
