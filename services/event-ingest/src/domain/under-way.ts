/** What began between one wait and the next. */
interface Generation {
  count: number;
  onEmpty: (() => void) | undefined;
}

/** Counts what is under way, so that somebody can wait for all that began before a moment. */
export class UnderWay {
  #generation: Generation = { count: 0, onEmpty: undefined };

  /** @returns to be called exactly once, when it has ended */
  begin(): () => void {
    const generation = this.#generation;
    generation.count++;
    return () => {
      if (--generation.count === 0) generation.onEmpty?.();
    };
  }

  /** Resolves when all that began before this has ended. */
  async drained(): Promise<void> {
    const before = this.#generation;
    this.#generation = { count: 0, onEmpty: undefined };
    if (before.count === 0) return;
    await new Promise<void>((resolve) => {
      before.onEmpty = resolve;
    });
  }
}
