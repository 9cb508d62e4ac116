import { compareText, type Dot, type Incarnation } from './dot.ts';

/**
 * The set of all dots that a state has seen, whether they still stand or were removed: what lets a
 * removal do without tombstones. For each incarnation, disjoint inclusive intervals `[from, to,
 * from, to, …]` in ascending order that never touch. An interval that begins at 1 is the entry of
 * a version vector; the others are the dot cloud, and grow into it as gaps close. One set of dots
 * has exactly one such form.
 */
export type CausalContext = Map<Incarnation, number[]>;
export type ReadonlyContext = ReadonlyMap<Incarnation, readonly number[]>;

export function contextOf(dots: Iterable<Dot>): CausalContext {
  const seqs = new Map<Incarnation, number[]>();
  for (const { incarnation, seq } of dots) {
    const known = seqs.get(incarnation);
    if (known === undefined) seqs.set(incarnation, [seq]);
    else known.push(seq);
  }
  // In ascending order each number is added at the end, so this is no more than a sort.
  const context: CausalContext = new Map();
  for (const [incarnation, numbers] of seqs) {
    if (numbers.length > 1) numbers.sort((a, b) => a - b);
    for (const seq of numbers) addDot(context, { incarnation, seq });
  }
  return context;
}

export function cloneContext(context: ReadonlyContext): CausalContext {
  const copy: CausalContext = new Map();
  for (const [incarnation, intervals] of context) copy.set(incarnation, [...intervals]);
  return copy;
}

export function containsDot(context: ReadonlyContext, dot: Dot): boolean {
  const intervals = context.get(dot.incarnation);
  if (intervals === undefined) return false;
  // The last interval that begins at or before the number is the one that may have it.
  let low = 0;
  let high = intervals.length / 2;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (at(intervals, middle * 2) <= dot.seq) low = middle + 1;
    else high = middle;
  }
  return low > 0 && dot.seq <= at(intervals, low * 2 - 1);
}

/** The dot of an incarnation's next mutation: one after the last that the context has of it. */
export function nextDot(context: ReadonlyContext, incarnation: Incarnation): Dot {
  return { incarnation, seq: (context.get(incarnation)?.at(-1) ?? 0) + 1 };
}

/** Adds one dot in place. Returns whether it was new. */
export function addDot(context: CausalContext, dot: Dot): boolean {
  const intervals = context.get(dot.incarnation);
  if (intervals === undefined) {
    context.set(dot.incarnation, [dot.seq, dot.seq]);
    return true;
  }
  const last = intervals.length - 1;
  if (intervals[last] === dot.seq - 1) {
    intervals[last] = dot.seq;
    return true;
  }
  if (dot.seq > at(intervals, last)) {
    intervals.push(dot.seq, dot.seq);
    return true;
  }
  if (containsDot(context, dot)) return false;
  context.set(dot.incarnation, uniteIntervals(intervals, [dot.seq, dot.seq]));
  return true;
}

/** Adds all of `source` to `target` in place. Returns whether anything was new. */
export function joinContextInto(target: CausalContext, source: ReadonlyContext): boolean {
  let grew = false;
  for (const [incarnation, intervals] of source) {
    const mine = target.get(incarnation);
    if (mine === undefined) {
      target.set(incarnation, [...intervals]);
      grew = true;
      continue;
    }
    const fits = fitInto(mine, intervals);
    if (fits === 'known') continue;
    if (fits === undefined) {
      const united = uniteIntervals(mine, intervals);
      if (sameIntervals(united, mine)) continue;
      target.set(incarnation, united);
    }
    grew = true;
  }
  return grew;
}

/**
 * Nearly all that is joined is one interval of an incarnation, which is known already or goes on
 * where the last one ends: that needs no new list.
 * @returns undefined where it is neither
 */
function fitInto(mine: number[], theirs: readonly number[]): 'known' | 'grown' | undefined {
  if (theirs.length !== 2) return undefined;
  const last = mine.length - 2;
  const from = at(theirs, 0);
  const to = at(theirs, 1);
  if (from < at(mine, last) || from > at(mine, last + 1) + 1) return undefined;
  if (to <= at(mine, last + 1)) return 'known';
  mine[last + 1] = to;
  return 'grown';
}

/** The union of many contexts, at no more than the cost of sorting their intervals. */
export function uniteContexts(contexts: Iterable<ReadonlyContext>): CausalContext {
  const pairs = new Map<Incarnation, [number, number][]>();
  for (const context of contexts) {
    for (const [incarnation, intervals] of context) {
      const known = pairs.get(incarnation) ?? [];
      for (let i = 0; i < intervals.length; i += 2) {
        known.push([at(intervals, i), at(intervals, i + 1)]);
      }
      pairs.set(incarnation, known);
    }
  }
  const union: CausalContext = new Map();
  for (const [incarnation, known] of pairs) {
    const sorted = known.sort((a, b) => a[0] - b[0]);
    union.set(incarnation, coalesce(sorted.flat()));
  }
  return union;
}

/** The dots of `a` that `b` lacks. */
export function subtractContext(a: ReadonlyContext, b: ReadonlyContext): CausalContext {
  const rest: CausalContext = new Map();
  for (const [incarnation, intervals] of a) {
    const left = subtractIntervals(intervals, b.get(incarnation) ?? []);
    if (left.length > 0) rest.set(incarnation, left);
  }
  return rest;
}

/** Every single dot; as many as there were mutations, so for tests and small states. */
export function* dotsOf(context: ReadonlyContext): Generator<Dot> {
  for (const [incarnation, intervals] of context) {
    for (let i = 0; i < intervals.length; i += 2) {
      for (let seq = at(intervals, i); seq <= at(intervals, i + 1); seq++) {
        yield { incarnation, seq };
      }
    }
  }
}

export function sameContext(a: ReadonlyContext, b: ReadonlyContext): boolean {
  if (a.size !== b.size) return false;
  for (const [incarnation, intervals] of a) {
    if (!sameIntervals(intervals, b.get(incarnation) ?? [])) return false;
  }
  return true;
}

/** The canonical order of incarnations. */
export function sortedByIncarnation<T>(map: ReadonlyMap<Incarnation, T>): [Incarnation, T][] {
  return [...map].sort((x, y) => compareText(x[0], y[0]));
}

function uniteIntervals(a: readonly number[], b: readonly number[]): number[] {
  const result: number[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    const fromA = j >= b.length || (i < a.length && at(a, i) <= at(b, j));
    const from = fromA ? at(a, i) : at(b, j);
    const to = fromA ? at(a, i + 1) : at(b, j + 1);
    if (fromA) i += 2;
    else j += 2;
    append(result, from, to);
  }
  return result;
}

/** Makes one of intervals that overlap or touch, given in the order of their begins. */
function coalesce(intervals: readonly number[]): number[] {
  const result: number[] = [];
  for (let i = 0; i < intervals.length; i += 2) {
    append(result, at(intervals, i), at(intervals, i + 1));
  }
  return result;
}

/** Puts an interval at the end, into the last one where it overlaps or touches that. */
function append(intervals: number[], from: number, to: number): void {
  const end = intervals.length - 1;
  if (end > 0 && from <= at(intervals, end) + 1) {
    intervals[end] = Math.max(at(intervals, end), to);
  } else intervals.push(from, to);
}

function subtractIntervals(a: readonly number[], b: readonly number[]): number[] {
  const result: number[] = [];
  for (let i = 0; i < a.length; i += 2) {
    let from = at(a, i);
    const to = at(a, i + 1);
    for (let j = 0; j < b.length && from <= to; j += 2) {
      const cutFrom = at(b, j);
      const cutTo = at(b, j + 1);
      if (cutTo < from) continue;
      if (cutFrom > to) break;
      if (cutFrom > from) result.push(from, cutFrom - 1);
      from = cutTo + 1;
    }
    if (from <= to) result.push(from, to);
  }
  return result;
}

function sameIntervals(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}

function at(intervals: readonly number[], index: number): number {
  return intervals[index] ?? Number.NaN;
}
