import type { Incarnation } from './dot.ts';
import type { Lattice } from './lattice.ts';

export interface DeltaBufferOptions<S> {
  readonly lattice: Lattice<S>;
  /**
   * Names this buffer's life. It is in memory only, so each start takes a random one anew: numbers
   * of another life mean nothing.
   */
  readonly log: Incarnation;
  /** The encoded size of a delta, in bytes. */
  readonly weigh: (delta: S) => number;
  readonly entries_max: number;
  readonly bytes_max: number;
  /** Of one interval, by the weights of its deltas; one that weighs more goes alone. */
  readonly interval_bytes_max: number;
}

/** A position in a buffer: all of the log `log` up to and with number `upTo`. */
export interface DeltaPosition {
  readonly log: Incarnation;
  readonly upTo: number;
}

/** The join of the deltas `after + 1` to `upTo` of a log, but for those that came from the reader. */
export interface DeltaInterval<S> extends DeltaPosition {
  /**
   * The life of the reader that this was made for, by its own log's name. A later life may have lost
   * what the earlier one sent, and is not sent here.
   */
  readonly reader: Incarnation;
  readonly after: number;
  readonly delta: S;
}

/** How far a reader is, in this life. Without a position it lacks something: see `DeltaInbox`. */
export interface Acknowledgement {
  readonly reader: Incarnation;
  readonly position: DeltaPosition | undefined;
}

/** What there is to send to a neighbour. */
export type Outgoing<S> =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'interval'; readonly interval: DeltaInterval<S> }
  /**
   * Deltas that it lacks are not kept any more, or never were: use anti-entropy. A state read after
   * this answer covers the log up to `position`; send both.
   */
  | { readonly kind: 'anti-entropy'; readonly position: DeltaPosition };

interface Entry<S> {
  readonly seq: number;
  readonly delta: S;
  readonly origin: Incarnation | undefined;
  readonly bytes: number;
}

interface Neighbour {
  /** What it has said that it holds; what is sent begins behind it. */
  acked: number;
  isBehind: boolean;
  /** The life that acknowledged it. */
  reader: Incarnation;
  /** Older acknowledgements may be of a life that it has lost. */
  oldestAck: number;
}

/**
 * The deltas that neighbours may still lack, numbered from 1 in the order in which they were joined
 * in here, so whatever a delta depends on has a lower number or was there before. A neighbour is
 * sent intervals without gaps and takes no other (see `DeltaInbox`): causal delta-merging, after
 * Almeida, Shoker, Baquero, "Delta state replicated data types" (2018), §6.
 *
 * A delta is not sent back to where it came from; what is put in from others should be only what
 * was news here, by `difference` ("BP" and "RR" of Enes, Almeida, Baquero, Leitão, ICDE 2019).
 * "Where" is one life of a neighbour, named by its own log: a later one may have lost what an
 * earlier one sent. So intervals are for one life, and only that takes them.
 *
 * What a crash took from the replica that had sent it reaches the others only if those that got it
 * put it in here too, or by anti-entropy.
 *
 * Bounded: entries that all have are dropped; beyond the bounds the oldest go, and a neighbour that
 * still lacks one of these is behind until anti-entropy. It starts out so: that this log begins
 * says nothing of what the neighbour knows.
 */
export class DeltaBuffer<S> {
  readonly #options: DeltaBufferOptions<S>;
  readonly #neighbours = new Map<string, Neighbour>();
  #entries: Entry<S>[] = [];
  #bytes = 0;
  #last = 0;
  /** The highest number whose delta is not kept any more. */
  #dropped = 0;

  constructor(options: DeltaBufferOptions<S>) {
    this.#options = options;
  }

  get entries(): number {
    return this.#entries.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get position(): DeltaPosition {
    return { log: this.#options.log, upTo: this.#last };
  }

  addNeighbour(id: string): void {
    if (this.#neighbours.has(id)) return;
    const oldestAck = this.#mark();
    this.#neighbours.set(id, { acked: 0, isBehind: true, reader: '', oldestAck });
  }

  removeNeighbour(id: string): void {
    this.#neighbours.delete(id);
    this.#trim();
  }

  /**
   * Puts in a delta that was just joined into the state here.
   * @param origin the log that it came from, undefined for a mutation here
   */
  append(delta: S, origin: Incarnation | undefined): void {
    if (this.#options.lattice.isBottom(delta)) return;
    const bytes = this.#options.weigh(delta);
    this.#entries.push({ seq: ++this.#last, delta, origin, bytes });
    this.#bytes += bytes;
    this.#trim();
  }

  /** What to send next; the same again until it is acknowledged. */
  next(id: string): Outgoing<S> {
    const neighbour = this.#neighbours.get(id);
    if (neighbour === undefined) return { kind: 'nothing' };
    if (neighbour.isBehind) return { kind: 'anti-entropy', position: this.position };
    const { lattice, interval_bytes_max, log } = this.#options;
    const delta = lattice.bottom();
    let upTo = neighbour.acked;
    let bytes = 0;
    let isNews = false;
    for (const entry of this.#entries) {
      if (entry.seq <= neighbour.acked) continue;
      if (entry.origin !== neighbour.reader) {
        if (isNews && bytes + entry.bytes > interval_bytes_max) break;
        isNews = true;
        bytes += entry.bytes;
        lattice.joinInto(delta, entry.delta);
      }
      upTo = entry.seq;
    }
    if (!isNews) return { kind: 'nothing' };
    const { reader, acked: after } = neighbour;
    return { kind: 'interval', interval: { log, reader, after, upTo, delta } };
  }

  /**
   * The neighbour holds all up to a position, by intervals or by anti-entropy; or, without one, it
   * has refused an interval.
   */
  acknowledge(id: string, { reader, position }: Acknowledgement): void {
    const neighbour = this.#neighbours.get(id);
    if (neighbour === undefined) return;
    if (position === undefined) {
      this.forget(id);
      return;
    }
    const { log, upTo } = position;
    if (log !== this.#options.log || upTo > this.#last) return;
    if (upTo < neighbour.oldestAck) return;
    if (neighbour.isBehind || neighbour.reader !== reader) {
      // It, or this life of it, may lack what was dropped after this position.
      neighbour.isBehind = upTo < this.#dropped;
      if (neighbour.isBehind) return;
    } else if (upTo < neighbour.acked) return;
    neighbour.acked = upTo;
    neighbour.reader = reader;
    this.#trim();
  }

  /** The neighbour has lost what it held of this log, as in a crash. */
  forget(id: string): void {
    const neighbour = this.#neighbours.get(id);
    if (neighbour === undefined) return;
    neighbour.oldestAck = this.#mark();
    neighbour.isBehind = true;
    this.#trim();
  }

  /** A number without a delta, which nobody can have acknowledged yet. */
  #mark(): number {
    return ++this.#last;
  }

  #trim(): void {
    const { entries_max, bytes_max } = this.#options;
    let drop = 0;
    for (const { seq, origin, bytes } of this.#entries) {
      const isOver = this.#entries.length - drop > entries_max || this.#bytes > bytes_max;
      const lacking = [...this.#neighbours.values()].filter(
        ({ isBehind, acked, reader }) => !isBehind && acked < seq && origin !== reader,
      );
      if (lacking.length > 0 && !isOver) break;
      for (const neighbour of lacking) neighbour.isBehind = true;
      this.#bytes -= bytes;
      this.#dropped = seq;
      drop++;
    }
    if (drop > 0) this.#entries = this.#entries.slice(drop);
  }
}
