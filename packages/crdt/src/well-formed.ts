import { dotKey } from './causal-difference.ts';
import { normalClaims } from './contested.ts';
import { containsDot, type ReadonlyContext } from './context.ts';
import type { CounterState } from './counter.ts';
import { compareDots, type Dot } from './dot.ts';
import { damaged } from './forms.ts';
import { compareClaims } from './op-claims.ts';

/*
 * What no bytes of a state say by their shape alone. A state from elsewhere that breaks one of these
 * could make joins depend on their order. Each throws MemplaneError `storage_damaged`.
 */

/** Intervals in order that do not touch. */
export function checkContext(context: ReadonlyContext): void {
  for (const intervals of context.values()) {
    let last = -1;
    if (intervals.length === 0 || intervals.length % 2 !== 0) throw damaged('half an interval');
    for (let i = 0; i < intervals.length; i += 2) {
      const from = intervals[i] ?? 0;
      const to = intervals[i + 1] ?? 0;
      if (from < 1 || from <= last + 1 || to < from) {
        throw damaged('intervals out of order');
      }
      last = to;
    }
  }
}

/** Dots that stand: of one place in order, in the context, and none at two places. */
export class StandingDots {
  readonly #context: ReadonlyContext;
  readonly #seen = new Set<string>();

  constructor(context: ReadonlyContext) {
    this.#context = context;
  }

  check(dots: readonly Dot[]): void {
    if (dots.length === 0) throw damaged('a place without dots');
    dots.forEach((dot, index) => {
      const before = dots[index - 1];
      if (before !== undefined && compareDots(before, dot) >= 0) throw damaged('dots out of order');
      if (!containsDot(this.#context, dot)) throw damaged('a dot outside of the context');
      const key = dotKey(dot);
      if (this.#seen.has(key)) throw damaged('a dot at two places');
      this.#seen.add(key);
    });
  }
}

/** What JSON can say, and nothing that a reader would stumble over; as deep as bytes may be. */
export function checkJson(value: unknown): void {
  if (typeof value === 'number' && Number.isFinite(value)) return;
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return;
  if (typeof value !== 'object' || value instanceof Uint8Array) throw damaged('a JSON value');
  for (const member of Object.values(value)) checkJson(member);
}

export function checkCounter(state: CounterState): void {
  const { entries, parts, contested } = state;
  for (const { seq, net, resetSeq, resetNet } of entries.values()) {
    const isOrdered = seq >= 1 && resetSeq >= 0 && resetSeq <= seq;
    const isSame = seq !== resetSeq || net === resetNet;
    const isReset = resetSeq > 0 || resetNet === 0n;
    if (!isOrdered || !isSame || !isReset) throw damaged("a counter's entry");
  }
  for (const claims of contested?.values() ?? []) {
    const isOrdered = claims.every(
      (it, i) => i === 0 || compareClaims(claims[i - 1] ?? it, it) < 0,
    );
    const isNormal = normalClaims(state, claims).length === claims.length;
    if (claims.length < 2 || !isOrdered || !isNormal) throw damaged('claims of an operation id');
  }
  if (parts !== undefined && (parts.byPartition.size === 0 || parts.generation < 0)) {
    throw damaged('parts of a log');
  }
}
