import { compareText } from '../dot.ts';
import * as form from '../forms.ts';
import type { ReadonlyVector, Vector } from './vector.ts';

/** How vectors look in CBOR: one form for each, ordered by incarnation. */
export function vectorForm(vector: ReadonlyVector): unknown[] {
  return [...vector]
    .sort((a, b) => compareText(a[0], b[0]))
    .map(([incarnation, commits]) => [form.incarnationBytes(incarnation), commits]);
}

/** @throws MemplaneError `storage_damaged` */
export function vectorOfForm(value: unknown): Vector {
  const vector: Vector = new Map();
  for (const entry of form.list(value)) {
    const [incarnation, commits] = form.list(entry);
    vector.set(form.incarnationText(incarnation), form.natural(commits));
  }
  return vector;
}
