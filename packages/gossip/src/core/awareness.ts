/**
 * A member's opinion of its own health (Dadgar, Phillips, Currey: "Lifeguard: Local Health
 * Awareness for More Accurate Failure Detection", 2018): 0 is healthy, and each sign that it is
 * itself slow raises the score. Its probes then wait longer before they blame another.
 */
export class Awareness {
  readonly #max: number;
  #score = 0;

  /** @param max the highest score; 0 switches the mechanism off */
  constructor(max: number) {
    this.#max = max;
  }

  get score(): number {
    return this.#score;
  }

  apply(delta: number): void {
    this.#score = Math.min(this.#max, Math.max(0, this.#score + delta));
  }

  /** A time stretched by the score: multiplied by score + 1. */
  scale(ms: number): number {
    return ms * (this.#score + 1);
  }
}
