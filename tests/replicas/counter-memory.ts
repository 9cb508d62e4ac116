import type { Act } from './act.ts';

/** What one counter may be: what was answered counts exactly once, what was not at most once. */
export class CounterMemory {
  #done = 0;
  #maybeUp = 0;
  #maybeDown = 0;

  record({ isDone }: Pick<Act, 'isDone'>, by: number): void {
    if (isDone) this.#done += by;
    else if (by > 0) this.#maybeUp += by;
    else this.#maybeDown += by;
  }

  /** One that was recorded without an answer was done after all, or before. */
  confirm(by: number): void {
    if (by > 0) this.#maybeUp -= by;
    else this.#maybeDown -= by;
    this.#done += by;
  }

  /** One that was answered may be lost. */
  doubt(by: number): void {
    if (by > 0) this.#maybeUp += by;
    else this.#maybeDown += by;
    this.#done -= by;
  }

  /** What is wrong with what all replicas have; nothing where it is as it may be. */
  check(value: number): string | undefined {
    const [low, high] = [this.#done + this.#maybeDown, this.#done + this.#maybeUp];
    if (value >= low && value <= high) return undefined;
    return `is ${value}, not from ${low} to ${high}`;
  }

  /** All replicas have this now: what was not answered is in it, or will never be. */
  settle(value: number): void {
    this.#done = value;
    this.#maybeUp = 0;
    this.#maybeDown = 0;
  }
}
