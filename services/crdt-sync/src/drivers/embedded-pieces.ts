import { MemplaneError } from '@memplane/contracts';
import {
  addDigests,
  cloneContext,
  type Dot,
  decodeElement,
  elementHash,
  encodeElement,
  type OrSetState,
  type PieceDigest,
  type PieceExchange,
  type PieceSummary,
  recordDigest,
  subtractDigests,
} from '@memplane/crdt';
import type { RocksSnapshot, RocksStore, WriteBatch } from '@memplane/rocks';
import type { Ref, SetChange, SetHeader } from '../domain/port.ts';
import { type PieceDigests, type SetPieces, WholePieces } from '../domain/set-pieces.ts';
import * as keys from './keys.ts';
import * as pieceKeys from './piece-keys.ts';
import * as records from './records.ts';

/** A set of so many elements is cut into pieces when it is written next, and stays so. */
const KEPT_FROM_ELEMENTS = 257;
/** Elements whose records are read at once. */
const READ_ELEMENTS = 1_024;

type Dots = readonly Dot[];

interface PieceRow {
  readonly hash: string;
  readonly digest: bigint;
  readonly element: string;
  readonly dots: Dots;
}

/**
 * The pieces of large sets, kept in the batches that change the sets: for each prefix of
 * {@link pieceKeys.KEPT_DIGITS} digits how many elements are below and the sum of their digests,
 * and each element once more, in the order of hashes. So an add writes two small rows more, whatever
 * the size of the set, and a piece is read without looking for its elements one by one.
 */
export class EmbeddedPieces implements SetPieces {
  readonly #rocks: () => RocksStore;

  constructor(rocks: () => RocksStore) {
    this.#rocks = rocks;
  }

  /** Adds to a batch what becomes of the set's pieces. */
  async put(batch: WriteBatch, change: SetChange): Promise<void> {
    const { cleared, header, ref, touched } = change;
    const mark = pieceKeys.markKey(ref);
    const isKept = (await this.#rocks().get(mark)) !== null;
    if (cleared && isKept) pieceKeys.dropPieces(batch, ref);
    const goesOn = isKept && !cleared;
    if (!goesOn && header.elements < KEPT_FROM_ELEMENTS) return;
    const news = goesOn || cleared ? touched : await this.#withStanding(ref, touched);
    // What is damaged elsewhere in the set keeps nobody from writing to it.
    if (news === undefined) return;
    if (!isKept || cleared) batch.put(mark, records.sealed());
    const changed = [...news].map(([element, dots]) => ({
      element,
      dots,
      hash: elementHash(element),
    }));
    const sums = await this.#sums(ref, goesOn ? changed : []);
    // Where nothing is below a prefix there is nothing to look for.
    const known = changed.filter(({ hash }) => sums.has(prefixOf(hash)));
    const before = await this.#dotsOf(
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
    if ((header?.elements ?? 0) >= KEPT_FROM_ELEMENTS) return undefined;
    const elements: OrSetState['elements'] = new Map();
    let digest = 0n;
    for await (const [element, dots] of this.#elements(ref, snapshot)) {
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
    for await (const rows of this.#rocks().scan({ ...range, snapshot })) {
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
    for await (const rows of this.#rocks().scan({ ...range, snapshot })) {
      for (const { key, value } of rows) {
        found.set(pieceKeys.prefixOfSumKey(key), pieceKeys.readSum(value));
      }
    }
    return found;
  }

  /** The kept sums that these elements are in. */
  async #sums(
    ref: Ref,
    changed: readonly { readonly hash: string }[],
  ): Promise<Map<string, PieceDigest>> {
    const prefixes = [...new Set(changed.map(({ hash }) => prefixOf(hash)))];
    const read = await this.#rocks().getMany(
      prefixes.map((prefix) => pieceKeys.sumKey(ref, prefix)),
    );
    const sums = new Map<string, PieceDigest>();
    prefixes.forEach((prefix, index) => {
      const record = read[index];
      if (record) sums.set(prefix, pieceKeys.readSum(record));
    });
    return sums;
  }

  async #dotsOf(ref: Ref, elements: readonly string[]): Promise<Map<string, Dots>> {
    const found = new Map<string, Dots>();
    for (let at = 0; at < elements.length; at += READ_ELEMENTS) {
      const wanted = elements.slice(at, at + READ_ELEMENTS);
      const read = await this.#rocks().getMany(
        wanted.map((element) => keys.elementKey(ref, element)),
      );
      wanted.forEach((element, index) => {
        const record = read[index];
        if (record) found.set(element, decodeElement(records.opened(record)).dots);
      });
    }
    return found;
  }

  /** All elements, those touched as they are now; undefined where one is damaged. */
  async #withStanding(
    ref: Ref,
    touched: ReadonlyMap<string, Dots>,
  ): Promise<ReadonlyMap<string, Dots> | undefined> {
    const all = new Map<string, Dots>();
    try {
      for await (const [element, dots] of this.#elements(ref)) all.set(element, dots);
    } catch (cause) {
      if (cause instanceof MemplaneError && cause.code === 'storage_damaged') return undefined;
      throw cause;
    }
    for (const [element, dots] of touched) all.set(element, dots);
    return all;
  }

  async *#elements(ref: Ref, snapshot?: RocksSnapshot): AsyncGenerator<[string, Dots]> {
    const range = { ...keys.elementRange(ref), ...(snapshot === undefined ? {} : { snapshot }) };
    for await (const rows of this.#rocks().scan(range)) {
      for (const { value } of rows) {
        const { dots, element } = decodeElement(records.opened(value));
        yield [element, dots];
      }
    }
  }
}

const NOTHING: PieceDigest = { count: 0, digest: 0n };

function prefixOf(hash: string): string {
  return hash.slice(0, pieceKeys.KEPT_DIGITS);
}

function sumOf(children: ReadonlyMap<string, PieceDigest>): bigint {
  let sum = 0n;
  for (const { digest } of children.values()) sum = addDigests(sum, digest);
  return sum;
}

function contextOf(header: SetHeader | undefined) {
  return cloneContext(header?.context ?? new Map());
}
