import type { Heartbeat } from './heartbeat.ts';

/** What one replica knows of who hears whom. */
export interface HearingView {
  readonly self: string;
  /** Those that are heard, with the latest that they said. */
  readonly heard: ReadonlyMap<string, Heartbeat>;
  /** Those that are not, with the last that they had said, if anything. */
  readonly unheard: ReadonlyMap<string, Heartbeat | undefined>;
}

/** So many ids or ways are named; a text must not grow with the cluster. */
const NAMED_MAX = 16;

/** In words: who is not heard, which ways are cut, what falls apart, and who hears whom. */
export function describeCut(view: HearingView): string {
  const sides = sidesOf(view);
  const isDivided = sides.length > 1 && view.unheard.size > 1;
  return [
    ...unheardWords(view),
    ...oneWayWords(view),
    ...(isDivided ? [`likely cut: ${sides.map((side) => `{${named(side)}}`).join(' | ')}`] : []),
    ...heardWords(view),
  ].join('; ');
}

/** The replicas in groups whose members hear each other, this one's first, as far as is known. */
export function sidesOf(view: HearingView): string[][] {
  const ids = [view.self, ...view.heard.keys(), ...view.unheard.keys()].sort();
  const sides: string[][] = [];
  const left = new Set(ids);
  for (const start of [view.self, ...ids]) {
    if (!left.delete(start)) continue;
    const side = [start];
    // The side grows while it is walked through.
    for (const one of side) {
      for (const other of left) {
        if (!hears(view, one, other) || !hears(view, other, one)) continue;
        left.delete(other);
        side.push(other);
      }
    }
    sides.push(side.sort());
  }
  return sides;
}

/** Whether one hears another. What is not known is taken as it most likely is. */
function hears(view: HearingView, one: string, other: string): boolean {
  const { heard, self, unheard } = view;
  if (one === self) return heard.has(other);
  const said = heard.get(one);
  if (said !== undefined) {
    if (said.hears.includes(other)) return true;
    // One that it does not know yet, e.g. as one of the two has just started, is not cut off.
    return !unheard.has(other) && !said.misses.includes(other);
  }
  // Of one that is silent here: those that hear it are heard by it; of the other silent ones, those
  // that it heard before.
  if (other === self) return false;
  const otherSaid = heard.get(other);
  if (otherSaid !== undefined) return otherSaid.hears.includes(one);
  return unheard.get(one)?.hears.includes(other) ?? true;
}

function unheardWords({ self, heard, unheard }: HearingView): string[] {
  const silent = [...unheard.keys()].sort();
  const [only] = silent;
  if (only === undefined) return [];
  const hearersOf = (id: string) =>
    [...heard.keys()].filter((by) => heard.get(by)?.hears.includes(id));
  if (silent.length === 1) {
    const hearers = hearersOf(only).sort();
    if (hearers.length === 0) return [`replica ${only} is not heard: it is down or cut off`];
    const hear = `${named(hearers)} ${hearers.length === 1 ? 'hears' : 'hear'} it`;
    return [`replica ${only} is not heard, but ${hear}: the way from ${only} to ${self} is cut`];
  }
  return [`replicas ${named(silent)} are not heard`];
}

/** Ways that are cut in one direction only. */
function oneWayWords(view: HearingView): string[] {
  const ids = [view.self, ...view.heard.keys()].sort();
  const words: string[] = [];
  for (const one of ids) {
    for (const other of ids) {
      if (one === other || !hears(view, one, other) || hears(view, other, one)) continue;
      const way = `the way from ${one} to ${other} is cut`;
      words.push(`${one} hears ${other}, but ${other} does not hear ${one}: ${way}`.trim());
    }
  }
  return limited(words);
}

function heardWords({ self, heard }: HearingView): string[] {
  const words = [`${self} hears ${named([...heard.keys()].sort())}`];
  for (const id of [...heard.keys()].sort()) {
    words.push(`${id} hears ${named([...(heard.get(id)?.hears ?? [])].sort())}`);
  }
  return limited(words);
}

function named(ids: readonly string[]): string {
  return ids.length === 0 ? 'nobody' : limited(ids).join(', ');
}

function limited(words: readonly string[]): string[] {
  if (words.length <= NAMED_MAX) return [...words];
  return [...words.slice(0, NAMED_MAX), `${words.length - NAMED_MAX} more`];
}
