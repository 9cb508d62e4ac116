import type { ClearedStore } from '@memplane/contracts';

/** What is to go from the files of the strong store. */
export interface PurgeNeed {
  /** Whether plain events were in it, and so in what its members log ahead. */
  readonly hadEvents: boolean;
}

export type Purge = (need: PurgeNeed) => Promise<readonly ClearedStore[]>;

interface Due {
  hadEvents: boolean;
  readonly done: Promise<readonly ClearedStore[]>;
}

/**
 * Purges one after the other. Who asks while one runs may have removed something behind its back, and
 * shares the next one with all others that ask meanwhile.
 */
export class Purges {
  readonly #purge: Purge;
  #last: Promise<unknown> = Promise.resolve();
  #due: Due | undefined;

  constructor(purge: Purge) {
    this.#purge = purge;
  }

  /** Resolves with a purge that began after the call. @throws what it throws */
  run({ hadEvents }: PurgeNeed): Promise<readonly ClearedStore[]> {
    const due = this.#due ?? this.#next();
    due.hadEvents ||= hadEvents;
    return due.done;
  }

  #next(): Due {
    const begin = () => {
      this.#due = undefined;
      return this.#purge({ hadEvents: due.hadEvents });
    };
    const due: Due = { hadEvents: false, done: this.#last.then(begin, begin) };
    this.#due = due;
    this.#last = due.done;
    return due;
  }
}
