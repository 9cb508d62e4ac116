import type { Json } from '@memplane/contracts';
import { entriesOf, entriesOfMember, INDEX_BOUNDS } from './index-entries.ts';
import type { Attributes } from './state.ts';

/** An entry of the index, with the offset since which it holds. */
interface Entry {
  readonly text: string;
  readonly since: number;
}

/** Told of each entry that begins to hold, and of each that ends, with when it had begun. */
export interface EntryChanges {
  readonly began: (entry: string) => void;
  readonly ended: (entry: string, since: number) => void;
}

/** No attribute's name: stands for all of them together. */
const WHOLE = '.';
const NONE: readonly Entry[] = [];
/** Up to here looking through a list beats a map. */
const LIST_LOOKUP_MAX = 8;

/**
 * The index entries of one entity, kept by attribute, so that a change looks at those attributes
 * only that it touches. Where attributes may share entries (a name with a dot reads as a path), or
 * where there are more entries than the index takes, all of them are one group, made anew each time.
 */
export class AttributeIndex {
  #groups: Map<string, readonly Entry[]>;
  #count = 0;

  /** @param since for each entry of the attributes, in their order: since which offset it holds */
  constructor(attributes: Attributes, since: readonly number[]) {
    this.#groups = new Map();
    let i = 0;
    for (const [name, texts] of groupsOf(attributes)) {
      this.#groups.set(
        name,
        texts.map((text) => ({ text, since: since[i++] ?? 0 })),
      );
    }
    this.#count = i;
  }

  /** Since when each entry holds, in the order of {@link entriesOf}. */
  since(attributes: Attributes): number[] {
    const all: number[] = [];
    const names = this.#groups.has(WHOLE) ? [WHOLE] : Object.keys(attributes);
    for (const name of names) {
      for (const { since } of this.#groups.get(name) ?? NONE) all.push(since);
    }
    return all;
  }

  /** Moves from one state of the attributes to the next, which a patch has led to. */
  change(now: Attributes, patch: Attributes, offset: number, changes: EntryChanges): void {
    const names = Object.keys(patch);
    const texts = this.#textsOf(names, now);
    if (texts === undefined) {
      this.#changeAll(now, offset, changes);
      return;
    }
    for (let i = 0; i < names.length; i++) {
      const name = names[i] as string;
      const before = this.#groups.get(name) ?? NONE;
      const after = moved(before, texts[i] as string[], offset, changes);
      if (after === before) continue;
      this.#groups.set(name, after);
      this.#count += after.length - before.length;
    }
  }

  /** The new entries of some attributes; undefined where all have to be looked at. */
  #textsOf(names: readonly string[], now: Attributes): string[][] | undefined {
    if (this.#groups.has(WHOLE)) return undefined;
    const all: string[][] = [];
    let count = this.#count;
    for (const name of names) {
      if (!isApart(name)) return undefined;
      const texts = Object.hasOwn(now, name) ? entriesOfMember(name, now[name] as Json) : [];
      if (texts === undefined) return undefined;
      all.push(texts);
      count += texts.length - (this.#groups.get(name)?.length ?? 0);
    }
    return count > INDEX_BOUNDS.entries_max ? undefined : all;
  }

  #changeAll(now: Attributes, offset: number, changes: EntryChanges): void {
    const before = [...this.#groups.values()].flat();
    const groups = groupsOf(now);
    const all = moved(before, [...groups.values()].flat(), offset, changes);
    this.#groups = new Map();
    let at = 0;
    for (const [name, texts] of groups) {
      this.#groups.set(name, all.slice(at, at + texts.length));
      at += texts.length;
    }
    this.#count = at;
  }
}

/** Whether no other attribute can have entries of this one's path. */
function isApart(name: string): boolean {
  return !name.includes('.') && name.isWellFormed();
}

/** The entries by attribute where that can be told apart, else all as one group. */
function groupsOf(attributes: Attributes): Map<string, readonly string[]> {
  const groups = new Map<string, readonly string[]>();
  let count = 0;
  for (const name of Object.keys(attributes)) {
    const texts = isApart(name) ? entriesOfMember(name, attributes[name] as Json) : undefined;
    count += texts?.length ?? 0;
    if (texts === undefined || count > INDEX_BOUNDS.entries_max) {
      return new Map([[WHOLE, [...entriesOf(attributes)]]]);
    }
    groups.set(name, texts);
  }
  return groups;
}

/** The new entries, each with when it began; tells which have begun and ended. */
function moved(
  before: readonly Entry[],
  texts: readonly string[],
  offset: number,
  changes: EntryChanges,
): readonly Entry[] {
  if (before.length <= 1 && texts.length <= 1) {
    return movedScalar(before, texts[0], offset, changes);
  }
  const find = finderOf(before);
  const now = texts.map((text) => {
    const known = find(text);
    if (known === undefined) changes.began(text);
    return known ?? { text, since: offset };
  });
  const stays = finderOf(now);
  for (const { text, since } of before) {
    if (stays(text) === undefined) changes.ended(text, since);
  }
  return now;
}

/** As {@link moved}, for the most usual attribute: one value instead of another. */
function movedScalar(
  before: readonly Entry[],
  text: string | undefined,
  offset: number,
  changes: EntryChanges,
): readonly Entry[] {
  const [old] = before;
  if (old?.text === text) return before;
  if (text !== undefined) changes.began(text);
  if (old !== undefined) changes.ended(old.text, old.since);
  return text === undefined ? NONE : [{ text, since: offset }];
}

function finderOf(entries: readonly Entry[]): (text: string) => Entry | undefined {
  if (entries.length <= LIST_LOOKUP_MAX) {
    return (text) => entries.find((entry) => entry.text === text);
  }
  const byText = new Map(entries.map((entry) => [entry.text, entry]));
  return (text) => byText.get(text);
}
