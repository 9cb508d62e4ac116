import { MemplaneError } from '@memplane/contracts';
import {
  addDigests,
  type Dot,
  decodeElement,
  elementHash,
  encodeElement,
  type PieceDigest,
  recordDigest,
  subtractDigests,
} from '@memplane/crdt';
import type { RocksSnapshot, RocksStore, WriteBatch } from '@memplane/rocks';
import type { Ref, SetChange } from '../domain/port.ts';
import { PIECED_FROM_ELEMENTS } from '../domain/set-pieces.ts';
import * as keys from './keys.ts';
import * as pieceKeys from './piece-keys.ts';
import * as records from './records.ts';

export const NOTHING: PieceDigest = { count: 0, digest: 0n };
/** Elements whose records are read at once. */
const READ_ELEMENTS = 1_024;

type Dots = readonly Dot[];

/**
 * Adds to a batch what becomes of a set's pieces: for each prefix of
 * {@link pieceKeys.KEPT_DIGITS} digits how many elements are below and the sum of their digests,
 * and each element once more, in the order of hashes. A set of
 * {@link PIECED_FROM_ELEMENTS} is cut into pieces when it is written next, and stays so. So an add writes two small rows more, whatever
 * the size of the set, and a piece is read without looking for its elements one by one.
 */
export async function putPieces(
  rocks: RocksStore,
  batch: WriteBatch,
  change: SetChange,
): Promise<void> {
  const { cleared, header, ref, touched } = change;
  const mark = pieceKeys.markKey(ref);
  const isKept = (await rocks.get(mark)) !== null;
  if (cleared && isKept) pieceKeys.dropPieces(batch, ref);
  const goesOn = isKept && !cleared;
  if (!goesOn && header.elements < PIECED_FROM_ELEMENTS) return;
  const news = goesOn || cleared ? touched : await withStanding(rocks, ref, touched);
  // What is damaged elsewhere in the set keeps nobody from writing to it.
  if (news === undefined) return;
  if (!isKept || cleared) batch.put(mark, records.sealed());
  const changed = [...news].map(([element, dots]) => ({
    element,
    dots,
    hash: elementHash(element),
  }));
  const sums = await keptSums(rocks, ref, goesOn ? changed : []);
  // Where nothing is below a prefix there is nothing to look for.
  const known = changed.filter(({ hash }) => sums.has(prefixOf(hash)));
  const before = await dotsOf(
    rocks,
    ref,
    known.map(({ element }) => element),
  );
  const touchedSums = new Set<string>();
  for (const { element, dots, hash } of changed) {
    const was = before.get(element) ?? [];
    if (was.length === 0 && dots.length === 0) continue;
    const body = encodeElement(element, dots);
    const key = pieceKeys.elementKey(ref, hash);
    if (dots.length === 0) batch.delete(key);
    else batch.put(key, records.elementRecord(body));
    const prefix = prefixOf(hash);
    const sum = sums.get(prefix) ?? NOTHING;
    const added = dots.length === 0 ? 0n : recordDigest(body);
    const gone = was.length === 0 ? 0n : recordDigest(encodeElement(element, was));
    sums.set(prefix, {
      count: sum.count + Number(dots.length > 0) - Number(was.length > 0),
      digest: subtractDigests(addDigests(sum.digest, added), gone),
    });
    touchedSums.add(prefix);
  }
  for (const prefix of touchedSums) {
    const sum = sums.get(prefix) ?? NOTHING;
    const key = pieceKeys.sumKey(ref, prefix);
    if (sum.count === 0) batch.delete(key);
    else batch.put(key, pieceKeys.sumRow(sum));
  }
}

/** The kept sums that these elements are in. */
async function keptSums(
  rocks: RocksStore,
  ref: Ref,
  changed: readonly { readonly hash: string }[],
): Promise<Map<string, PieceDigest>> {
  const prefixes = [...new Set(changed.map(({ hash }) => prefixOf(hash)))];
  const read = await rocks.getMany(prefixes.map((prefix) => pieceKeys.sumKey(ref, prefix)));
  const sums = new Map<string, PieceDigest>();
  prefixes.forEach((prefix, index) => {
    const record = read[index];
    if (record) sums.set(prefix, pieceKeys.readSum(record));
  });
  return sums;
}

async function dotsOf(
  rocks: RocksStore,
  ref: Ref,
  elements: readonly string[],
): Promise<Map<string, Dots>> {
  const found = new Map<string, Dots>();
  for (let at = 0; at < elements.length; at += READ_ELEMENTS) {
    const wanted = elements.slice(at, at + READ_ELEMENTS);
    const read = await rocks.getMany(wanted.map((element) => keys.elementKey(ref, element)));
    wanted.forEach((element, index) => {
      const record = read[index];
      if (record) found.set(element, decodeElement(records.opened(record)).dots);
    });
  }
  return found;
}

/** All elements, those touched as they are now; undefined where one is damaged. */
async function withStanding(
  rocks: RocksStore,
  ref: Ref,
  touched: ReadonlyMap<string, Dots>,
): Promise<ReadonlyMap<string, Dots> | undefined> {
  const all = new Map<string, Dots>();
  try {
    for await (const [element, dots] of elementsOf(rocks, ref)) all.set(element, dots);
  } catch (cause) {
    if (cause instanceof MemplaneError && cause.code === 'storage_damaged') return undefined;
    throw cause;
  }
  for (const [element, dots] of touched) all.set(element, dots);
  return all;
}

export async function* elementsOf(
  rocks: RocksStore,
  ref: Ref,
  snapshot?: RocksSnapshot,
): AsyncGenerator<[string, Dots]> {
  const range = { ...keys.elementRange(ref), ...(snapshot === undefined ? {} : { snapshot }) };
  for await (const rows of rocks.scan(range)) {
    for (const { value } of rows) {
      const { dots, element } = decodeElement(records.opened(value));
      yield [element, dots];
    }
  }
}

function prefixOf(hash: string): string {
  return hash.slice(0, pieceKeys.KEPT_DIGITS);
}
