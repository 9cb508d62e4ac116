import { MemplaneError } from '@memplane/contracts';
import type { Embedder } from './domain/ports.ts';
import { normalized } from './domain/quantize.ts';

/** Vectors of questions: the last ones are kept, so that a repeated search has the same vector. */
export class QueryVectors {
  readonly #embedder: Embedder;
  readonly #entries_max: number;
  readonly #known = new Map<string, Float32Array>();

  constructor(embedder: Embedder, entries_max: number) {
    this.#embedder = embedder;
    this.#entries_max = entries_max;
  }

  get model(): string {
    return this.#embedder.model;
  }

  /** The vector of length 1, or undefined when the embedder does not answer. */
  async of(
    text: string,
    dimensions: number,
    signal: AbortSignal,
  ): Promise<Float32Array | undefined> {
    const known = this.#known.get(text);
    if (known) return known;
    try {
      const [vector] = await this.#embedder.embed([text], signal);
      const unit = vector?.length === dimensions ? normalized(vector) : undefined;
      if (!unit) return undefined;
      this.#known.set(text, unit);
      const [oldest] = this.#known.keys();
      if (this.#known.size > this.#entries_max && oldest !== undefined) this.#known.delete(oldest);
      return unit;
    } catch (error) {
      if (error instanceof MemplaneError && error.code === 'dependency_unavailable')
        return undefined;
      throw error;
    }
  }
}
