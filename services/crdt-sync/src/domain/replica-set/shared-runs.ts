/** Runs one thing again and again, never twice at once: who asks shares a run that begins after it. */
export class SharedRuns<T> {
  readonly #work: () => Promise<T>;
  #running: Promise<void> = Promise.resolve();
  #next: Promise<T> | undefined;

  constructor(work: () => Promise<T>) {
    this.#work = work;
  }

  run(): Promise<T> {
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      const run = this.#work();
      this.#running = run.then(
        () => {},
        () => {},
      );
      return run;
    });
    return this.#next;
  }
}
