import type { Ref } from '../../domain/port.ts';
import { countElements, isHeaderIntact, isSame } from './piece-checks.ts';
import type { Elements, FoundPiece, FoundSet, RedisSets } from './redis-sets.ts';
import { readRow } from './set-records.ts';

/** Elements that are read in one call, and somewhat more: a piece is read whole. */
export const READ_ELEMENTS_MAX = 4_096;

/** What was read of a set, piece by piece, all of it as of one moment. */
export interface SetSnapshot<T> {
  readonly found: FoundSet;
  /** What was made of each piece, and of the elements that are not cut. */
  readonly parts: readonly T[];
  /** Whether all of it is as it was written. */
  readonly isIntact: boolean;
}

interface Part<T> {
  readonly record: Buffer;
  readonly isIntact: boolean;
  readonly made: T;
}

/**
 * Reads all of a set in bounded calls. What has changed meanwhile is read again, the rest of it at
 * the moment that counts; each time more is taken at once, so that it comes to an end however busy
 * the set is.
 * @throws MemplaneError `storage_damaged` where nothing can be read of it
 */
export async function readSnapshot<T>(
  sets: RedisSets,
  ref: Ref,
  first: FoundSet,
  make: (elements: Elements) => T,
): Promise<SetSnapshot<T> | undefined> {
  const parts = new Map<string, Part<T>>();
  const take = (piece: FoundPiece) => {
    const isIntact = isSame(countElements(piece.elements), piece.row);
    parts.set(piece.place, { record: piece.record, isIntact, made: make(piece.elements) });
  };
  for (const places of groupsOf(first.rows)) {
    for (const piece of (await sets.pieces(ref, places)).pieces) take(piece);
  }
  let found: FoundSet | undefined = first;
  for (let max = READ_ELEMENTS_MAX, isAll = first.rows.size === 0; !isAll; max *= 2) {
    const known = new Map([...parts].map(([place, { record }]) => [place, record]));
    const news = await sets.news(ref, known, max);
    for (const piece of news.pieces) take(piece);
    ({ found, isAll } = news);
    if (found === undefined) return undefined;
  }
  const { rows, uncut } = found;
  const standing = [...parts].filter(([place]) => rows.has(place)).map(([, part]) => part);
  return {
    found,
    parts: [make(uncut), ...standing.map(({ made }) => made)],
    isIntact: isHeaderIntact(found) && standing.every((part) => part.isIntact),
  };
}

/** Places whose pieces are read together. */
export function* groupsOf(rows: ReadonlyMap<string, Buffer>): Generator<string[]> {
  let group: string[] = [];
  let count = 0;
  for (const [place, record] of rows) {
    group.push(place);
    count += readRow(record).elements;
    if (count < READ_ELEMENTS_MAX) continue;
    yield group;
    group = [];
    count = 0;
  }
  if (group.length > 0) yield group;
}
