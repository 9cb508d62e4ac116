import { createHash } from 'node:crypto';

/** All that happened in a run, as a digest: two runs of one seed must give the same. */
export class Trace {
  readonly #hash = createHash('sha256');
  #steps = 0;

  get steps(): number {
    return this.#steps;
  }

  add(...parts: readonly (string | number | Uint8Array)[]): void {
    this.#steps += 1;
    for (const part of parts) {
      this.#hash.update(typeof part === 'number' ? `${part}` : part);
      this.#hash.update('\n');
    }
  }

  /** The digest up to here, in hex. */
  digest(): string {
    return this.#hash.copy().digest('hex');
  }
}
