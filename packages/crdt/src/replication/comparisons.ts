export interface ComparisonsOptions {
  /** How many commits a peer has that are missing here; 0 for one that can not be reached too. */
  readonly gain: (peer: string) => number;
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

  /** With whom states are being compared. */
  get peer(): string | undefined {
    return this.#running?.peer;
  }

  /** Begins the one that gains most, if any is still needed. */
  run(): void {
    if (this.#running !== undefined) return;
    const gains = Array.from(this.#waiting, (peer) => ({ peer, gain: this.#options.gain(peer) }));
    for (const { peer, gain } of gains) if (gain === 0) this.#waiting.delete(peer);
    const best = gains.reduce((a, b) => (b.gain > a.gain ? b : a), { peer: '', gain: 0 });
    if (best.gain === 0) return;
    this.#waiting.delete(best.peer);
    const running = { peer: best.peer };
    this.#running = running;
    this.#options.compare(best.peer, () => {
      if (this.#running !== running) return;
      this.#running = undefined;
      this.run();
    });
  }
}
