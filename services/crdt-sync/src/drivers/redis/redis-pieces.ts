import {
  addDigests,
  type CausalContext,
  cloneContext,
  type Dot,
  decodeElement,
  elementHash,
  type OrSetState,
  type PieceDigest,
  type PieceExchange,
  recordDigest,
} from '@memplane/crdt';
import type { Ref, SetHeader } from '../../domain/port.ts';
import {
  PIECED_FROM_ELEMENTS,
  type PieceDigests,
  type SetPieces,
  WholePieces,
} from '../../domain/set-pieces.ts';
import type { RedisConnection } from './connection.ts';
import { digestOf, expectHeader, expectPiece } from './piece-checks.ts';
import { PLACE_DIGITS } from './place.ts';
import { damaged, openBare } from './redis-records.ts';
import type { Elements, FoundSet, RedisSets } from './redis-sets.ts';
import { readRow } from './set-records.ts';
import { groupsOf } from './set-snapshot.ts';

const NOTHING: PieceDigest = { count: 0, digest: 0n };

/** The digests of a set's pieces, by their places. */
interface Digested {
  readonly found: FoundSet;
  readonly pieces: ReadonlyMap<string, PieceDigest>;
}

/**
 * Pieces of sets that stand in Redis in pieces. A function keeps what a piece counts by SHA-1; its
 * SHA-256, by which replicas compare, is computed here once somebody asks, is kept beside it, and
 * goes with the next change of the piece. So a comparison reads what has changed since the last one.
 *
 * The context is as of a moment before the pieces were read, or of the same: a removal that was
 * missed in it is told with the next one, and nothing that stands looks removed.
 */
export class RedisPieces implements SetPieces {
  readonly #redis: RedisConnection;
  readonly #sets: RedisSets;

  constructor(redis: RedisConnection, sets: RedisSets) {
    this.#redis = redis;
    this.#sets = sets;
  }

  async digests(ref: Ref, prefixes: readonly string[]): Promise<PieceDigests | undefined> {
    const found = await this.#find(ref);
    if (found === undefined || found.rows.size === 0) {
      return new WholePieces(stateOf(found)).digests(prefixes);
    }
    const { pieces } = await this.#digested(ref, found);
    const deep = prefixes.filter((prefix) => prefix.length >= PLACE_DIGITS);
    const below = await this.#piecesAt(ref, deep);
    const summaries = prefixes.map((prefix) => ({
      prefix,
      children:
        prefix.length < PLACE_DIGITS
          ? childrenOf(prefix, pieces)
          : childrenIn(prefix, below.get(prefix.slice(0, PLACE_DIGITS)) ?? []),
    }));
    await this.#redis.confirm();
    return { context: cloneContext(found.header.context), summaries };
  }

  async below(
    ref: Ref,
    prefixes: readonly string[],
    elements_max: number,
  ): Promise<PieceExchange | undefined> {
    const found = await this.#find(ref);
    if (found === undefined || found.rows.size === 0) {
      return new WholePieces(stateOf(found)).below(prefixes, elements_max);
    }
    const asked = prefixesWithin(prefixes, found, elements_max);
    const { header, pieces } = await this.#sets.pieces(ref, [
      ...new Set(asked.flatMap(placesIn(found))),
    ]);
    await this.#redis.confirm();
    for (const piece of pieces) expectPiece(piece);
    const given = new Map(asked.map((prefix) => [prefix, new Map<string, readonly Dot[]>()]));
    const decoded = pieces.flatMap(({ elements }) => decode(elements));
    for (const { element, dots, hash } of decoded) {
      for (const [prefix, elements] of given) {
        if (hash.startsWith(prefix)) elements.set(element, dots);
      }
    }
    return { pieces: given, context: contextOf(header) };
  }

  /** A set's header with the digest of its elements. @throws MemplaneError `storage_damaged` */
  async header(ref: Ref): Promise<SetHeader | undefined> {
    const found = await this.#find(ref);
    if (found === undefined) return undefined;
    const { context, elementBytes, elements } = found.header;
    return { context, elements, elementBytes, elementsDigest: await this.digestOf(ref, found) };
  }

  /** Of all elements. @throws MemplaneError `storage_damaged` */
  async digestOf(ref: Ref, found: FoundSet): Promise<bigint> {
    const { pieces } = await this.#digested(ref, found);
    let digest = digestOf(found.uncut);
    for (const piece of pieces.values()) digest = addDigests(digest, piece.digest);
    return digest;
  }

  /** A set of which all is in pieces, or nothing. */
  async #find(ref: Ref): Promise<FoundSet | undefined> {
    let found = await this.#sets.find(ref);
    if (isHalfCut(found)) {
      await this.#sets.cut(ref);
      found = await this.#sets.find(ref);
      if (isHalfCut(found)) throw damaged('a set can not be cut');
    }
    // What is gone is not given as all that there is.
    await this.#redis.confirm();
    if (found !== undefined) expectHeader(found);
    return found;
  }

  /** Reads the pieces whose digests are not kept, and has them kept. */
  async #digested(ref: Ref, found: FoundSet): Promise<Digested> {
    const pieces = new Map<string, PieceDigest>();
    const missing = new Map<string, Buffer>();
    for (const [place, record] of found.rows) {
      const { digest, elements } = readRow(record);
      if (digest === undefined) missing.set(place, record);
      else pieces.set(place, { count: elements, digest });
    }
    for (const places of groupsOf(missing)) {
      const read = (await this.#sets.pieces(ref, places)).pieces;
      const digests = read.map((piece) => {
        expectPiece(piece);
        const digest = digestOf(piece.elements);
        pieces.set(piece.place, { count: piece.elements.length, digest });
        return { place: piece.place, record: piece.record, digest };
      });
      if (digests.length > 0) await this.#sets.keepDigests(ref, digests);
    }
    return { found, pieces };
  }

  /** All elements of the pieces that these prefixes are in. */
  async #piecesAt(ref: Ref, prefixes: readonly string[]): Promise<Map<string, Elements>> {
    const places = [...new Set(prefixes.map((prefix) => prefix.slice(0, PLACE_DIGITS)))];
    if (places.length === 0) return new Map();
    const { pieces } = await this.#sets.pieces(ref, places);
    for (const piece of pieces) expectPiece(piece);
    return new Map(pieces.map(({ elements, place }) => [place, elements]));
  }
}

/** Whether something is to be cut that is not. */
function isHalfCut(found: FoundSet | undefined): boolean {
  if (found === undefined || found.uncut.length === 0) return false;
  return found.rows.size > 0 || found.header.elements >= PIECED_FROM_ELEMENTS;
}

/** @throws MemplaneError `storage_damaged` */
function stateOf(found: FoundSet | undefined): OrSetState {
  const elements = new Map<string, readonly Dot[]>();
  for (const { dots, element } of decode(found?.uncut ?? [])) elements.set(element, dots);
  return { elements, context: contextOf(found?.header) };
}

function decode(elements: Elements) {
  return elements.map(([, record]) => {
    const decoded = decodeElement(openBare(record));
    return { ...decoded, hash: elementHash(decoded.element) };
  });
}

function contextOf(header: { readonly context: CausalContext } | undefined): CausalContext {
  return cloneContext(header?.context ?? new Map());
}

/** The first of these prefixes, with so many elements below them in all; one at least. */
function prefixesWithin(
  prefixes: readonly string[],
  found: FoundSet,
  elements_max: number,
): readonly string[] {
  let count = 0;
  for (const [index, prefix] of prefixes.entries()) {
    // Of a piece that is below a longer prefix only some is given.
    for (const place of placesIn(found)(prefix)) {
      const record = found.rows.get(place);
      if (record !== undefined) count += readRow(record).elements;
    }
    if (count >= elements_max) return prefixes.slice(0, index + 1);
  }
  return prefixes;
}

/** The pieces that there are at or below a prefix, or that it is in. */
function placesIn({ rows }: FoundSet): (prefix: string) => string[] {
  return (prefix) => {
    if (prefix.length >= PLACE_DIGITS) return [prefix.slice(0, PLACE_DIGITS)];
    return [...rows.keys()].filter((place) => place.startsWith(prefix));
  };
}

function childrenOf(
  prefix: string,
  pieces: ReadonlyMap<string, PieceDigest>,
): Map<string, PieceDigest> {
  const children = new Map<string, PieceDigest>();
  for (const [place, piece] of pieces) {
    if (piece.count > 0 && place.startsWith(prefix))
      add(children, place.charAt(prefix.length), piece);
  }
  return children;
}

function childrenIn(prefix: string, elements: Elements): Map<string, PieceDigest> {
  const children = new Map<string, PieceDigest>();
  for (const [element, record] of elements) {
    const hash = elementHash(element.toString());
    if (!hash.startsWith(prefix)) continue;
    const digest = recordDigest(openBare(record));
    add(children, hash.charAt(prefix.length), { count: 1, digest });
  }
  return children;
}

function add(children: Map<string, PieceDigest>, digit: string, { count, digest }: PieceDigest) {
  const sum = children.get(digit) ?? NOTHING;
  const added = { count: sum.count + count, digest: addDigests(sum.digest, digest) };
  children.set(digit, added);
}
