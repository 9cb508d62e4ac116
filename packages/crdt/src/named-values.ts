import { compareText } from './dot.ts';
import { damaged, list, text } from './forms.ts';
import type { Lattice } from './lattice.ts';

/** Of a name with its tenant, in UTF-16 code units. */
export const NAME_UNITS_MAX = 512;

/** Values by name, in the order of names, without those that are nothing. */
export function namedForm<S>(
  values: ReadonlyMap<string, S>,
  lattice: Lattice<S>,
  toForm: (value: S) => unknown,
): unknown[] {
  return [...values]
    .filter(([, value]) => !lattice.isBottom(value))
    .sort((a, b) => compareText(a[0], b[0]))
    .map(([name, value]) => [name, toForm(value)]);
}

/** @throws MemplaneError `storage_damaged` */
export function namedOf<S>(value: unknown, ofForm: (value: unknown) => S): Map<string, S> {
  const values = new Map<string, S>();
  for (const entry of list(value)) {
    const [nameForm, valueForm] = list(entry);
    const name = text(nameForm);
    if (name.length > NAME_UNITS_MAX) throw damaged('a name that is too long');
    values.set(name, ofForm(valueForm));
  }
  return values;
}

/** @throws MemplaneError `storage_damaged` */
export function recordOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw damaged('a record was expected');
}
