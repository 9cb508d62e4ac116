import type { Checkpoint } from './checkpoint.ts';

/**
 * Up to where everything is done, while lines are finished out of order: the place before the
 * oldest one that is still open.
 */
export class Watermark {
  /** Lines under way, in the order of the file; done ones are removed from the front. */
  #open: { end: Checkpoint; done: boolean }[] = [];
  #first = 0;
  #mark: Checkpoint;

  constructor(start: Checkpoint) {
    this.#mark = start;
  }

  /** @returns what to call when the line is done. */
  add(end: Checkpoint): () => void {
    const entry = { end, done: false };
    this.#open.push(entry);
    return () => {
      entry.done = true;
      this.#advance();
    };
  }

  get value(): Checkpoint {
    return this.#mark;
  }

  /** Lines that are not done yet, or wait for an older one. */
  get size(): number {
    return this.#open.length - this.#first;
  }

  #advance(): void {
    for (let entry = this.#open[this.#first]; entry?.done; entry = this.#open[this.#first]) {
      this.#mark = entry.end;
      this.#first++;
    }
    if (this.#first > 1024 && this.#first * 2 > this.#open.length) {
      this.#open = this.#open.slice(this.#first);
      this.#first = 0;
    }
  }
}
