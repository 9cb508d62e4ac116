export interface ComparisonsOptions {
  /** Whether a peer has what is missing here, and can be reached. */
  readonly isNeeded: (peer: string) => boolean;
  readonly compare: (peer: string, done: () => void) => void;
}

/** With whom states are to be compared: one after the other. */
export class Comparisons {
  readonly #options: ComparisonsOptions;
  readonly #waiting = new Set<string>();
  #running: { readonly peer: string } | undefined;

  constructor(options: ComparisonsOptions) {
    this.#options = options;
  }

  add(peer: string): void {
    this.#waiting.add(peer);
  }

  /** What was asked of a peer may be lost: its answer is not awaited any more. */
  abandon(peer: string): void {
    if (this.#running?.peer === peer) this.#running = undefined;
  }

  /** Begins the next one that is still needed. */
  run(): void {
    if (this.#running !== undefined) return;
    for (const peer of this.#waiting) {
      this.#waiting.delete(peer);
      if (!this.#options.isNeeded(peer)) continue;
      const running = { peer };
      this.#running = running;
      this.#options.compare(peer, () => {
        if (this.#running !== running) return;
        this.#running = undefined;
        this.run();
      });
      return;
    }
  }
}
