import { hash } from 'node:crypto';
import { elementHash } from '@memplane/crdt';

/** As many digits of an element's hash say which piece it is in. */
export const PLACE_DIGITS = 3;

export function placeOf(element: string): string {
  return elementHash(element).slice(0, PLACE_DIGITS);
}

/** Where an element is in a piece that stands in buckets, as `lua/5-keys.lua` has it. */
export function bucketOf(element: string): string {
  return `${placeOf(element)}-${hash('sha1', element, 'hex').charAt(0)}`;
}

/** The places of elements in their order, as the functions take them. */
export function placesWord(elements: readonly string[]): string {
  return elements.map(placeOf).join('');
}
