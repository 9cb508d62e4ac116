import { type Act, maySee, surelySaw } from './act.ts';

interface Acts {
  readonly adds: Act[];
  readonly removes: Act[];
}

/** What one set may hold: adds win over removals that did not see them. */
export class SetMemory {
  readonly #elements = new Map<string, Acts>();
  #resets: Act[] = [];

  added(element: string, act: Act): void {
    this.#acts(element).adds.push(act);
  }

  removed(element: string, act: Act): void {
    this.#acts(element).removes.push(act);
  }

  reset(act: Act): void {
    this.#resets.push(act);
  }

  /** What is wrong with what all replicas have. */
  check(found: ReadonlySet<string>): string[] {
    const wrong: string[] = [];
    for (const [element, acts] of this.#elements) {
      const isThere = found.has(element);
      if (!isThere && this.#mustBe(acts)) wrong.push(`lacks ${element}: ${JSON.stringify(acts)}`);
      if (isThere && this.#mustNotBe(acts)) wrong.push(`has ${element}: ${JSON.stringify(acts)}`);
    }
    for (const element of found) {
      if (!this.#elements.has(element)) wrong.push(`has ${element}, which was gone`);
    }
    return wrong;
  }

  /** All replicas have these, and no others, from now on. */
  settle(found: ReadonlySet<string>, act: Act): void {
    this.#resets = [];
    this.#elements.clear();
    for (const element of found) this.#elements.set(element, { adds: [act], removes: [] });
  }

  /** An add was answered that nothing has removed: nothing that saw it, or may have. */
  #mustBe({ adds, removes }: Acts): boolean {
    const all = [...removes, ...this.#resets];
    return adds.some((add) => add.isDone && !all.some((removal) => maySee(removal, add)));
  }

  /** Each add was seen by a removal that was answered. */
  #mustNotBe({ adds, removes }: Acts): boolean {
    const all = [...removes, ...this.#resets].filter(({ isDone }) => isDone);
    return adds.every((add) => all.some((removal) => surelySaw(removal, add)));
  }

  #acts(element: string): Acts {
    let acts = this.#elements.get(element);
    if (acts === undefined) {
      acts = { adds: [], removes: [] };
      this.#elements.set(element, acts);
    }
    return acts;
  }
}
