import type { SegmentName } from './archive-names.ts';

/**
 * The segments of one partition's archive, of all its owners. A segment holds what the log held, no
 * more and no less, whoever wrote it; so where two overlap, by an owner that woke up late or one
 * that was broken off, either will do, and all that counts is that no offset is left out.
 */
export class SegmentCover {
  /** In the order of their first offsets. */
  readonly #segments: SegmentName[];

  constructor(segments: Iterable<SegmentName>) {
    this.#segments = [...segments].sort((a, b) => a.firstOffset - b.firstOffset);
  }

  add(segment: SegmentName): void {
    const last = this.#segments.at(-1);
    this.#segments.push(segment);
    if (last !== undefined && last.firstOffset > segment.firstOffset) {
      this.#segments.sort((a, b) => a.firstOffset - b.firstOffset);
    }
  }

  remove(segment: SegmentName): void {
    const at = this.#segments.indexOf(segment);
    if (at >= 0) this.#segments.splice(at, 1);
  }

  /** All of them. */
  get segments(): readonly SegmentName[] {
    return [...this.#segments];
  }

  /** Those that lie wholly before an offset. */
  before(offset: number): SegmentName[] {
    return this.#segments.filter(({ lastOffset }) => lastOffset < offset);
  }

  /** Where the first segment begins that has an offset from `from` on; `from` when none has. */
  firstFrom(from: number): number {
    return this.#segments.find(({ lastOffset }) => lastOffset >= from)?.firstOffset ?? from;
  }

  /** The first offset from `from` on that no segment has. */
  endFrom(from: number): number {
    let end = from;
    for (const { firstOffset, lastOffset } of this.#segments) {
      if (firstOffset > end) break;
      end = Math.max(end, lastOffset + 1);
    }
    return end;
  }

  /** The segments that have an offset: those of later owners first. */
  holding(offset: number): SegmentName[] {
    return this.#segments
      .filter(({ firstOffset, lastOffset }) => firstOffset <= offset && offset <= lastOffset)
      .sort((a, b) => b.ownerEpoch - a.ownerEpoch);
  }
}
