import { elementHash } from '@memplane/crdt';

/** As many digits of an element's hash say which piece it is in. */
export const PLACE_DIGITS = 3;

export function placeOf(element: string): string {
  return elementHash(element).slice(0, PLACE_DIGITS);
}

/** The places of elements in their order, as the functions take them. */
export function placesWord(elements: readonly string[]): string {
  return elements.map(placeOf).join('');
}
