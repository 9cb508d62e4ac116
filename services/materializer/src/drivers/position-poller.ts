import { pause } from '@memplane/runtime';
import { appliedPart, waiting } from '../reads/cuts.ts';
import { allPartitions, gatherReachable } from '../reads/part.ts';
import type { Plane } from '../reads/plane.ts';

/**
 * Asks the other owners now and then how far they are, so that the token of a latest read names what
 * is applied in every partition: a partition that a cut does not name is empty in it.
 */
export class PositionPoller {
  readonly #plane: Plane;
  readonly #intervalMs: number;
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(plane: Plane, intervalMs: number) {
    this.#plane = plane;
    this.#intervalMs = intervalMs;
  }

  start(): void {
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const wait = waiting(0, signal);
      const question = { partitions: allPartitions(this.#plane), query: () => null, wait };
      // What is answered is remembered by the peers; who does not answer now is asked again.
      await gatherReachable(this.#plane, appliedPart, question).catch(() => {});
      await pause(this.#intervalMs, signal);
    }
  }
}
