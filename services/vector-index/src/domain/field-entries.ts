import type { Json } from '@memplane/contracts';

/** What a value is to the index of metadata fields. Numbers are stored: never change them. */
export const FIELD_KIND = {
  null: 0,
  boolean: 1,
  number: 2,
  text: 3,
  /** Text that can't be a key: too long, or no well-formed Unicode. Looked at one by one. */
  oddText: 4,
  array: 5,
  object: 6,
} as const;
export type FieldKind = (typeof FIELD_KIND)[keyof typeof FIELD_KIND];

/** A value that some path of a row's metadata leads to. */
export interface FieldEntry {
  /** See {@link pathKey}. */
  readonly path: string;
  readonly kind: FieldKind;
  readonly value: string | number;
}

const INDEXED_TEXT_CHARS_MAX = 200;

/** A path as an unambiguous text: names may contain dots. */
export function pathKey(path: readonly string[]): string {
  return JSON.stringify(path);
}

export function kindOf(value: Json): FieldKind {
  if (value === null) return FIELD_KIND.null;
  if (typeof value === 'number') return FIELD_KIND.number;
  if (typeof value === 'boolean') return FIELD_KIND.boolean;
  if (typeof value === 'string') {
    return value.length <= INDEXED_TEXT_CHARS_MAX && value.isWellFormed()
      ? FIELD_KIND.text
      : FIELD_KIND.oddText;
  }
  return Array.isArray(value) ? FIELD_KIND.array : FIELD_KIND.object;
}

/** The part of an entry's key that stands for its value. */
export function keyValue(value: Json, kind: FieldKind): string | number {
  if (kind === FIELD_KIND.text) return value as string;
  if (kind === FIELD_KIND.number) return value as number;
  if (kind === FIELD_KIND.boolean) return value === true ? 1 : 0;
  return 0;
}

/**
 * All (path, value) pairs of a document, by the rules of `anyValue` in `@memplane/filter`, but for
 * places in arrays named by number. Undefined when there are more than `max`.
 */
export function fieldEntries(
  metadata: { readonly [key: string]: Json },
  max: number,
): FieldEntry[] | undefined {
  const found = new Map<string, FieldEntry>();
  const add = (path: readonly string[], value: Json) => {
    const kind = kindOf(value);
    const entry = { path: pathKey(path), kind, value: keyValue(value, kind) };
    found.set(`${entry.path} ${kind} ${entry.value}`, entry);
  };
  const walk = (object: { readonly [key: string]: Json }, path: readonly string[]) => {
    for (const [name, value] of Object.entries(object)) {
      if (found.size > max) return;
      const here = [...path, name];
      add(here, value);
      if (Array.isArray(value)) {
        for (const element of value) {
          if (found.size > max) return;
          add(here, element);
          if (kindOf(element) === FIELD_KIND.object) walk(element as typeof object, here);
        }
      } else if (kindOf(value) === FIELD_KIND.object) walk(value as typeof object, here);
    }
  };
  walk(metadata, []);
  return found.size > max ? undefined : [...found.values()];
}
