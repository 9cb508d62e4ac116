import {
  addDigests,
  cloneContext,
  type Dot,
  decodeElement,
  encodeElement,
  type OrSetState,
  type PieceDigest,
  type PieceExchange,
  type PieceSummary,
  recordDigest,
  subtractDigests,
} from '@memplane/crdt';
import type { RocksSnapshot, RocksStore } from '@memplane/rocks';
import type { Ref, SetHeader } from '../domain/port.ts';
import {
  PIECED_FROM_ELEMENTS,
  type PieceDigests,
  type SetPieces,
  WholePieces,
} from '../domain/set-pieces.ts';
import { elementsOf, NOTHING } from './embedded-piece-writer.ts';
import * as keys from './keys.ts';
import * as pieceKeys from './piece-keys.ts';
import * as records from './records.ts';

/** Rows that are read in one go: a piece is asked for whole. */
const SCANNED_ROWS = 4_096;

type Dots = readonly Dot[];

interface PieceRow {
  readonly hash: string;
  readonly digest: bigint;
  readonly element: string;
  readonly dots: Dots;
}

/** Reads the pieces of sets that `putPieces` keeps; of a small set, those of the whole. */
export class EmbeddedPieces implements SetPieces {
  readonly #rocks: () => RocksStore;

  constructor(rocks: () => RocksStore) {
    this.#rocks = rocks;
  }

  async digests(ref: Ref, prefixes: readonly string[]): Promise<PieceDigests | undefined> {
    using snapshot = this.#rocks().snapshot();
    const header = await this.#header(ref, snapshot);
    if (!(await this.#isKept(ref, snapshot))) {
      const whole = await this.#whole(ref, header, snapshot);
      return whole?.digests(prefixes);
    }
    const summaries: PieceSummary[] = [];
    for (const prefix of prefixes) {
      const children = await this.#children(ref, prefix, snapshot);
      // Such a set has pieces of a time when not all writers kept them.
      if (prefix === '' && sumOf(children) !== header?.elementsDigest) return undefined;
      summaries.push({ prefix, children });
    }
    return { context: contextOf(header), summaries };
  }

  async below(
    ref: Ref,
    prefixes: readonly string[],
    elements_max: number,
  ): Promise<PieceExchange | undefined> {
    using snapshot = this.#rocks().snapshot();
    const header = await this.#header(ref, snapshot);
    if (!(await this.#isKept(ref, snapshot))) {
      const whole = await this.#whole(ref, header, snapshot);
      return whole?.below(prefixes, elements_max);
    }
    const pieces = new Map<string, ReadonlyMap<string, Dots>>();
    let count = 0;
    for (const prefix of prefixes) {
      const rows = await this.#rows(ref, prefix, snapshot);
      pieces.set(prefix, new Map(rows.map(({ element, dots }) => [element, dots])));
      count += rows.length;
      if (count >= elements_max) break;
    }
    return { pieces, context: contextOf(header) };
  }

  async #isKept(ref: Ref, snapshot: RocksSnapshot): Promise<boolean> {
    return (await this.#rocks().get(pieceKeys.markKey(ref), snapshot)) !== null;
  }

  async #header(ref: Ref, snapshot: RocksSnapshot): Promise<SetHeader | undefined> {
    const record = await this.#rocks().get(keys.valueKey('set', ref), snapshot);
    return record ? records.readSetRecord(record) : undefined;
  }

  async #whole(
    ref: Ref,
    header: SetHeader | undefined,
    snapshot: RocksSnapshot,
  ): Promise<WholePieces | undefined> {
    if ((header?.elements ?? 0) >= PIECED_FROM_ELEMENTS) return undefined;
    const elements: OrSetState['elements'] = new Map();
    let digest = 0n;
    for await (const [element, dots] of elementsOf(this.#rocks(), ref, snapshot)) {
      elements.set(element, dots);
      digest = addDigests(digest, recordDigest(encodeElement(element, dots)));
    }
    if (digest !== (header?.elementsDigest ?? 0n)) {
      throw records.damaged('a set does not have its digest');
    }
    return new WholePieces({ elements, context: contextOf(header) });
  }

  /** Of each next digit; of kept sums above them, and of elements' rows below. */
  async #children(
    ref: Ref,
    prefix: string,
    snapshot: RocksSnapshot,
  ): Promise<Map<string, PieceDigest>> {
    const children = new Map<string, PieceDigest>();
    const add = (digit: string, { count, digest }: PieceDigest) => {
      const sum = children.get(digit) ?? NOTHING;
      const added = { count: sum.count + count, digest: addDigests(sum.digest, digest) };
      children.set(digit, added);
    };
    if (prefix.length < pieceKeys.KEPT_DIGITS) {
      for (const [kept, sum] of await this.#sumsBelow(ref, prefix, snapshot)) {
        add(kept.charAt(prefix.length), sum);
      }
    } else {
      for (const { digest, hash } of await this.#rows(ref, prefix, snapshot)) {
        add(hash.charAt(prefix.length), { count: 1, digest });
      }
    }
    return children;
  }

  /**
   * The elements below a prefix, in the order of their hashes.
   * @throws MemplaneError `storage_damaged`, where they do not have the digest that is kept
   */
  async #rows(ref: Ref, prefix: string, snapshot: RocksSnapshot): Promise<PieceRow[]> {
    const kept = prefix.slice(0, pieceKeys.KEPT_DIGITS);
    const found: PieceRow[] = [];
    let sum = 0n;
    const range = pieceKeys.elementRange(ref, kept);
    for await (const rows of this.#rocks().scan({ ...range, snapshot, chunkRows: SCANNED_ROWS })) {
      for (const { key, value } of rows) {
        const body = records.opened(value);
        const digest = recordDigest(body);
        sum = addDigests(sum, digest);
        const hash = pieceKeys.hashOfKey(key);
        if (hash.startsWith(prefix)) found.push({ hash, digest, ...decodeElement(body) });
      }
    }
    for (const { digest } of (await this.#sumsBelow(ref, kept, snapshot)).values()) {
      sum = subtractDigests(sum, digest);
    }
    if (sum !== 0n) throw records.damaged('a piece of a set does not have its digest');
    return found;
  }

  async #sumsBelow(
    ref: Ref,
    prefix: string,
    snapshot: RocksSnapshot,
  ): Promise<Map<string, PieceDigest>> {
    const found = new Map<string, PieceDigest>();
    const range = pieceKeys.sumRange(ref, prefix);
    for await (const rows of this.#rocks().scan({ ...range, snapshot, chunkRows: SCANNED_ROWS })) {
      for (const { key, value } of rows) {
        found.set(pieceKeys.prefixOfSumKey(key), pieceKeys.readSum(value));
      }
    }
    return found;
  }
}

function sumOf(children: ReadonlyMap<string, PieceDigest>): bigint {
  let sum = 0n;
  for (const { digest } of children.values()) sum = addDigests(sum, digest);
  return sum;
}

function contextOf(header: SetHeader | undefined) {
  return cloneContext(header?.context ?? new Map());
}
