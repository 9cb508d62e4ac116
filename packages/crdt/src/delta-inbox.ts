import type { Acknowledgement, DeltaInterval, DeltaPosition } from './delta-buffer.ts';
import type { Incarnation } from './dot.ts';

/** What to do with an interval: join it in, leave it as known, or refuse it for want of a cause. */
export type Verdict = 'join' | 'known' | 'gap';

/**
 * How far this replica has each neighbour's log. In memory only, as the buffers are: after a start
 * nothing is known of any log, every interval is a gap, and the neighbours turn to anti-entropy. So
 * an acknowledgement may be given before what it acknowledges is durable, as long as a crash that
 * loses that also loses the inbox.
 */
export class DeltaInbox {
  readonly #reader: Incarnation;
  readonly #positions = new Map<string, DeltaPosition>();

  /** @param reader this life's name: the log of the buffer that starts with the inbox. */
  constructor(reader: Incarnation) {
    this.#reader = reader;
  }

  /** An interval is taken only when it is for this life and all that precedes it was taken. */
  judge(neighbour: string, interval: Omit<DeltaInterval<unknown>, 'delta'>): Verdict {
    const known = this.#positions.get(neighbour);
    if (interval.reader !== this.#reader) return 'gap';
    if (known?.log !== interval.log || interval.after > known.upTo) return 'gap';
    return interval.upTo <= known.upTo ? 'known' : 'join';
  }

  /** An interval was joined in, or a whole state that covers a log up to a position. */
  advance(neighbour: string, { log, upTo }: DeltaPosition): void {
    const known = this.#positions.get(neighbour);
    if (known?.log === log && known.upTo >= upTo) return;
    this.#positions.set(neighbour, { log, upTo });
  }

  /** The answer to a state, or to an interval and what was made of it. */
  acknowledgement(neighbour: string, verdict?: Verdict): Acknowledgement {
    const position = verdict === 'gap' ? undefined : this.#positions.get(neighbour);
    return { reader: this.#reader, position };
  }

  /** Whether a log is another than the one last heard of: its replica has started anew. */
  isNewLog(neighbour: string, log: Incarnation): boolean {
    return this.#positions.get(neighbour)?.log !== log;
  }

  forget(neighbour: string): void {
    this.#positions.delete(neighbour);
  }
}
