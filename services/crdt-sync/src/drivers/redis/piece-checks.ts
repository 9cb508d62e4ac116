import { addDigests, recordDigest } from '@memplane/crdt';
import { checksumOf, damaged, openBare } from './redis-records.ts';
import type { Elements, FoundPiece, FoundSet } from './redis-sets.ts';
import { type Counted, readRow } from './set-records.ts';

/** What elements come to. */
export function countElements(elements: Elements): Counted {
  let sum = 0n;
  for (const [, record] of elements) {
    sum = addDigests(sum, BigInt(`0x${checksumOf(openBare(record))}`));
  }
  return { elements: elements.length, sum };
}

export function isSame(a: Counted, b: Counted): boolean {
  return a.elements === b.elements && a.sum === b.sum;
}

/** @throws MemplaneError `storage_damaged`: what is damaged must not spread */
export function expectPiece({ elements, place, row }: FoundPiece): void {
  if (isSame(countElements(elements), row)) return;
  throw damaged(`piece ${place} of a set does not have its digest`);
}

/** Whether all but what is in pieces is as it was written. */
export function isHeaderIntact({ header, members, rows, uncut }: FoundSet): boolean {
  if (!header.opened.isIntact || members !== header.elements) return false;
  if (!isSame(countElements(uncut), header.uncut)) return false;
  let { elements, sum } = header.uncut;
  for (const record of rows.values()) {
    const row = readRow(record);
    elements += row.elements;
    sum = addDigests(sum, row.sum);
  }
  return isSame({ elements, sum }, header);
}

/** @throws MemplaneError `storage_damaged` */
export function expectHeader(set: FoundSet): void {
  if (!isHeaderIntact(set)) throw damaged('a set does not have its digest');
}

export function digestOf(elements: Elements): bigint {
  let digest = 0n;
  for (const [, record] of elements) {
    digest = addDigests(digest, recordDigest(openBare(record)));
  }
  return digest;
}
