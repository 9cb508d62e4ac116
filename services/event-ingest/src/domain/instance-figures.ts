/** For how many answers the figure of an instance that no longer answers counts. */
const ANSWERS_KEPT = 10;

/**
 * The newest figure of each instance of a service: each knows of its own part, and it is by chance
 * which one answers.
 */
export class InstanceFigures {
  #answers = 0;
  readonly #told = new Map<string, { readonly figure: number; readonly answer: number }>();

  take(instance: unknown, figure: number): void {
    const answer = ++this.#answers;
    this.#told.set(String(instance ?? ''), { figure, answer });
    for (const [name, told] of this.#told) {
      if (told.answer <= answer - ANSWERS_KEPT) this.#told.delete(name);
    }
  }

  get sum(): number {
    let sum = 0;
    for (const { figure } of this.#told.values()) sum += figure;
    return sum;
  }

  get max(): number {
    let max = 0;
    for (const { figure } of this.#told.values()) max = Math.max(max, figure);
    return max;
  }
}
