import type { HybridClock } from '@memplane/clock';
import { hlcCounter, hlcToMs } from '@memplane/clock';

/** A stamp as the log's number and as its text. */
export interface Stamp {
  readonly hlc: bigint;
  readonly text: string;
}

/** Gives stamps with their texts; the text of a millisecond is made once. */
export class Stamps {
  readonly clock: HybridClock;
  #ms = -1;
  #prefix = '';

  constructor(clock: HybridClock) {
    this.clock = clock;
  }

  next(): Stamp {
    const hlc = this.clock.tick();
    return { hlc, text: this.textOf(hlc) };
  }

  textOf(hlc: bigint): string {
    const ms = hlcToMs(hlc);
    if (ms !== this.#ms) {
      this.#ms = ms;
      this.#prefix = `${ms.toString(16).padStart(12, '0')}-`;
    }
    return this.#prefix + (hlcCounter(hlc) + 0x10000).toString(16).slice(1);
  }
}
