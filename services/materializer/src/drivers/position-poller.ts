import { pause } from '@memplane/runtime';
import { appliedPart, waiting } from '../reads/cuts.ts';
import { allPartitions, gatherReachable } from '../reads/part.ts';
import type { Plane } from '../reads/plane.ts';
import { BackgroundLoop } from './background-loop.ts';

/**
 * Asks the other owners now and then how far they are, so that the token of a latest read names what
 * is applied in every partition: a partition that a cut does not name is empty in it.
 */
export class PositionPoller extends BackgroundLoop {
  readonly #plane: Plane;
  readonly #intervalMs: number;

  constructor(plane: Plane, intervalMs: number) {
    super();
    this.#plane = plane;
    this.#intervalMs = intervalMs;
  }

  protected async run(): Promise<void> {
    const signal = this.stopping;
    while (!signal.aborted) {
      const wait = waiting(0, signal);
      const question = { partitions: allPartitions(this.#plane), query: () => null, wait };
      // What is answered is remembered by the peers; who does not answer now is asked again.
      await gatherReachable(this.#plane, appliedPart, question).catch(() => {});
      await pause(this.#intervalMs, signal);
    }
  }
}
