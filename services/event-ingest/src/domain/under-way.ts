/** What began between one wait and the next. */
interface Generation {
  count: number;
  onEmpty: (() => void) | undefined;
}

/** Counts what is under way, so that somebody can wait for all that began before a moment. */
export class UnderWay {
  #generation: Generation = { count: 0, onEmpty: undefined };
  /** Resolves when all generations before the last have ended. */
  #earlier: Promise<void> = Promise.resolve();

  /** @returns to be called exactly once, when it has ended */
  begin(): () => void {
    const generation = this.#generation;
    generation.count++;
    return () => {
      if (--generation.count === 0) generation.onEmpty?.();
    };
  }

  /** Resolves when all that began before this has ended. */
  drained(): Promise<void> {
    const before = this.#generation;
    this.#generation = { count: 0, onEmpty: undefined };
    const earlier = this.#earlier;
    const ended = new Promise<void>((resolve) => {
      if (before.count === 0) resolve();
      else before.onEmpty = resolve;
    });
    // Somebody else may still be waiting for what began before them.
    this.#earlier = ended.then(() => earlier);
    return this.#earlier;
  }
}
