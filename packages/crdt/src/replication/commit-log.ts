import type { Incarnation } from '../dot.ts';
import type { Lattice } from '../lattice.ts';
import type { CommitRange } from '../replica-delta.ts';
import { coversVector, type ReadonlyVector, type Vector } from './vector.ts';

export interface CommitLogOptions<S> {
  readonly lattice: Lattice<S>;
  /** The encoded size of a delta, in bytes. */
  readonly weigh: (delta: S) => number;
  readonly entries_max: number;
  readonly bytes_max: number;
  /** Of one delta; a larger one is not kept, and whoever lacks it has to compare states. */
  readonly delta_bytes_max: number;
  /** Of own commits that become one entry: what one message may have. */
  readonly merged_bytes_max: number;
}

interface Entry<S> {
  readonly ranges: CommitRange[];
  /** Undefined where the commits came with a whole state: whoever lacks them has to do the same. */
  readonly delta: S | undefined;
  bytes: number;
  /** When it was joined in here, in ms on a monotonic clock. */
  readonly atMs: number;
  /** Made here, or passed on for another. */
  readonly isOwn: boolean;
  /** Whether it was read for somebody: nothing may be joined into it any more. */
  isRead: boolean;
}

/** What a reader is to be sent next. */
export interface Reading<S> {
  /** Nothing where there are no ranges. */
  readonly ranges: readonly CommitRange[];
  /** What was left to others to send, and may be a cause of what is in here. */
  readonly causes: ReadonlyVector;
  readonly delta: S;
  /** Names this reading among those of one moment: equal keys, equal content. */
  readonly key: string;
  /** Whether there is more to send at once. */
  readonly hasMore: boolean;
  /** It lacks what is not kept any more. */
  readonly isBehind: boolean;
}

export interface ReadLimits {
  readonly senders: ReadonlySet<Incarnation>;
  readonly passOnBeforeMs: number;
  readonly bytes_max: number;
}

/**
 * The commits that others may still lack, of all incarnations, in the order in which they were
 * joined in here: whatever a commit depends on stands before it, or was there before the log began.
 *
 * A reader is known by its vector, so what it has, from whomever, is left out: nothing is sent
 * twice but where a message was lost ("extraction of redundant state", Enes, Almeida, Baquero,
 * Leitão, ICDE 2019, by version vectors in place of differences; the vectors are those of
 * Scuttlebutt, van Renesse et al., 2008). A commit of another replica is passed on only after a
 * while, since its own replica sends it too; what stands behind it names it as a cause, so that
 * nobody takes a commit before its causes.
 *
 * Bounded: what all have is dropped; beyond the bounds the oldest go, and whoever lacked them has
 * to compare states.
 */
export class CommitLog<S> {
  readonly #options: CommitLogOptions<S>;
  #entries: Entry<S>[] = [];
  #bytes = 0;
  /** All that was there before the first entry, and may be a cause of any. */
  readonly #floor: Vector;

  /** @param known all that is joined in when the log begins */
  constructor(options: CommitLogOptions<S>, known: ReadonlyVector) {
    this.#options = options;
    this.#floor = new Map(known);
  }

  get entries(): number {
    return this.#entries.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A commit that was made here. Those that nobody has read yet become one entry. */
  appendOwn(incarnation: Incarnation, number: number, delta: S, nowMs: number): void {
    const { lattice, weigh, delta_bytes_max, merged_bytes_max } = this.#options;
    const range = { incarnation, after: number - 1, upTo: number };
    const last = this.#entries.at(-1);
    const before = last?.ranges[0];
    const bytes = weigh(delta);
    if (bytes > delta_bytes_max) {
      this.appendUnknown([range], nowMs);
      return;
    }
    const isNext = before?.incarnation === incarnation && before.upTo === range.after;
    const fits = last !== undefined && last.bytes + bytes <= merged_bytes_max;
    if (last?.delta && last.isOwn && !last.isRead && isNext && fits) {
      lattice.joinInto(last.delta, delta);
      last.ranges[0] = { ...before, upTo: number };
      last.bytes += bytes;
      this.#bytes += bytes;
      this.#bound();
      return;
    }
    this.#push([range], lattice.clone(delta), { bytes, nowMs, isOwn: true });
  }

  /** Commits of others, joined in here. */
  appendReceived(ranges: readonly CommitRange[], delta: S, bytes: number, nowMs: number): void {
    this.#push([...ranges], delta, { bytes, nowMs, isOwn: false });
  }

  /** Commits that came with a whole state. */
  appendUnknown(ranges: readonly CommitRange[], nowMs: number): void {
    this.#push([...ranges], undefined, { bytes: 0, nowMs, isOwn: false });
  }

  /**
   * What to send to a reader that has `theirs`.
   * @param limits.senders incarnations whose replicas are there to send their commits themselves
   * @param limits.passOnBeforeMs those of their commits that came later are left to them as yet
   */
  read(theirs: ReadonlyVector, limits: ReadLimits): Reading<S> {
    const has = new Map(theirs);
    const ranges = new Map<Incarnation, CommitRange>();
    const causes: Vector = new Map();
    /** Causes of what comes next, if anything does. */
    let skipped: CommitRange[] = [];
    const taken: Entry<S>[] = [];
    let bytes = 0;
    let hasMore = false;
    let isBehind = !coversVector(theirs, this.#floor);
    for (const entry of isBehind ? [] : this.#entries) {
      const lacking = entry.ranges.filter(
        (range) => range.upTo > (has.get(range.incarnation) ?? 0),
      );
      if (lacking.length === 0) continue;
      if (isLeftToOthers(entry, limits)) {
        // What is late goes alone: of replicas that all bring a long row, each with the latest of
        // the others as causes, none would be taken before the others.
        hasMore = taken.some(({ atMs }) => atMs <= limits.passOnBeforeMs);
        if (hasMore) break;
        for (const { incarnation, upTo } of lacking) has.set(incarnation, upTo);
        skipped.push(...lacking);
        continue;
      }
      // What follows may depend on what is missing here.
      isBehind =
        entry.delta === undefined ||
        lacking.some((range) => range.after > (has.get(range.incarnation) ?? 0));
      if (isBehind) break;
      hasMore = taken.length > 0 && bytes + entry.bytes > limits.bytes_max;
      if (hasMore) break;
      taken.push(entry);
      bytes += entry.bytes;
      for (const { incarnation, upTo } of skipped) causes.set(incarnation, upTo);
      skipped = [];
      for (const { incarnation, upTo } of lacking) {
        const after = ranges.get(incarnation)?.after ?? has.get(incarnation) ?? 0;
        ranges.set(incarnation, { incarnation, after, upTo });
        has.set(incarnation, upTo);
      }
    }
    return { ...this.#joined(taken, [...ranges.values()]), causes, hasMore, isBehind };
  }

  /** Drops what all of these have. */
  trim(vectors: readonly ReadonlyVector[]): void {
    const isWanted = ({ ranges }: Entry<S>) =>
      vectors.some((vector) =>
        ranges.some(({ incarnation, upTo }) => (vector.get(incarnation) ?? 0) < upTo),
      );
    if (!this.#entries.every(isWanted)) this.#keep(isWanted);
  }

  #joined(taken: readonly Entry<S>[], ranges: CommitRange[]) {
    const { lattice } = this.#options;
    for (const entry of taken) entry.isRead = true;
    const [first] = taken;
    const delta = taken.length === 1 && first?.delta ? first.delta : lattice.bottom();
    if (taken.length > 1) {
      for (const entry of taken) if (entry.delta) lattice.joinInto(delta, entry.delta);
    }
    ranges.sort((a, b) => (a.incarnation < b.incarnation ? -1 : 1));
    const key = ranges.map((range) => `${range.incarnation} ${range.after} ${range.upTo}`).join();
    return { ranges, delta, key };
  }

  #push(
    ranges: CommitRange[],
    delta: S | undefined,
    { bytes, nowMs, isOwn }: { bytes: number; nowMs: number; isOwn: boolean },
  ): void {
    this.#entries.push({ ranges, delta, bytes, atMs: nowMs, isOwn, isRead: false });
    this.#bytes += bytes;
    this.#bound();
  }

  #bound(): void {
    const { entries_max, bytes_max } = this.#options;
    if (this.#entries.length <= entries_max && this.#bytes <= bytes_max) return;
    let drop = 0;
    let left = this.#bytes;
    while (this.#entries.length - drop > entries_max || left > bytes_max) {
      left -= this.#entries[drop++]?.bytes ?? left;
    }
    this.#keep((_, index) => index >= drop);
  }

  /** One who had what is dropped here may come back without it, so it may be a cause still. */
  #keep(isKept: (entry: Entry<S>, index: number) => boolean): void {
    const kept: Entry<S>[] = [];
    let bytes = 0;
    for (const [index, entry] of this.#entries.entries()) {
      if (isKept(entry, index)) {
        kept.push(entry);
        bytes += entry.bytes;
        continue;
      }
      for (const { incarnation, upTo } of entry.ranges) {
        this.#floor.set(incarnation, Math.max(upTo, this.#floor.get(incarnation) ?? 0));
      }
    }
    this.#entries = kept;
    this.#bytes = bytes;
  }
}

function isLeftToOthers<S>(entry: Entry<S>, { senders, passOnBeforeMs }: ReadLimits): boolean {
  if (entry.isOwn || entry.delta === undefined || entry.atMs <= passOnBeforeMs) return false;
  return entry.ranges.some(({ incarnation }) => senders.has(incarnation));
}
