/**
 * A random 128-bit id, as 32 hex digits, that a replica takes anew at each start, before its first
 * mutation. It is never used by anybody else and never used again, so a tail of mutations that was
 * lost can't be issued a second time with other content.
 */
export type Incarnation = string;

const INCARNATION = /^[0-9a-f]{32}$/;

export function isIncarnation(text: string): boolean {
  return INCARNATION.test(text);
}

/** One mutation of one value: the `seq`-th (from 1) that an incarnation made on it. */
export interface Dot {
  readonly incarnation: Incarnation;
  readonly seq: number;
}

/** The canonical order of dots. */
export function compareDots(a: Dot, b: Dot): number {
  return compareText(a.incarnation, b.incarnation) || a.seq - b.seq;
}

export function sameDot(a: Dot, b: Dot): boolean {
  return a.seq === b.seq && a.incarnation === b.incarnation;
}

/** Whether a dot is among some in canonical order. */
export function hasDot(dots: readonly Dot[], dot: Dot): boolean {
  if (dots.length <= FEW_DOTS) return dots.some((candidate) => sameDot(candidate, dot));
  let low = 0;
  let high = dots.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const order = compareDots(dots[middle] ?? dot, dot);
    if (order === 0) return true;
    if (order < 0) low = middle + 1;
    else high = middle - 1;
  }
  return false;
}

/** Hardly any element has more; only in a made-up state does it matter how they are looked through. */
const FEW_DOTS = 8;

/** By UTF-16 code units: the same on every machine, unlike a locale's order. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
