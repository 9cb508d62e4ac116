import { encode } from 'cborg';
import { type DecodeLimits, expectSameBytes, openBounded } from './bounded-cbor.ts';
import type { PieceDigest, PieceSummary } from './compare-pieces.ts';
import type { ReadonlyContext } from './context.ts';
import { compareText, type Dot, type Incarnation } from './dot.ts';
import * as form from './forms.ts';
import { elementHash, PIECE_DEPTH_MAX } from './piece-tree.ts';
import type { PieceExchange } from './pieced-set.ts';
import type { SetPatch } from './set-patch.ts';
import { checkContext, StandingDots } from './well-formed.ts';

const PIECE = 10;
const SUMMARIES = 11;
const EXCHANGE = 12;
const PATCH = 15;

type Elements = ReadonlyMap<string, readonly Dot[]>;

/** A piece as a record of a store, under its prefix; the context has a record of its own. */
export function encodePiece(prefix: string, elements: Elements): Uint8Array {
  return encode([form.CRDT_FORMAT_VERSION, PIECE, prefix, elementsForm(elements)]);
}

/**
 * @param context the set's own, which must have all dots of the piece
 * @throws MemplaneError `storage_damaged`, `body_too_large`, `too_deep`
 */
export function decodePiece(
  bytes: Uint8Array,
  context: ReadonlyContext,
  limits?: DecodeLimits,
): { prefix: string; elements: Map<string, readonly Dot[]> } {
  const [prefixForm, elementsForm] = openBounded(bytes, PIECE, limits);
  const prefix = prefixOf(prefixForm);
  const elements = elementsOf(elementsForm, prefix, new StandingDots(context));
  expectSameBytes(bytes, encodePiece(prefix, elements));
  return { prefix, elements };
}

export function encodeExchange({ pieces, context }: PieceExchange): Uint8Array {
  const sorted = [...pieces].sort((a, b) => compareText(a[0], b[0]));
  const forms = sorted.map(([prefix, elements]) => [prefix, elementsForm(elements)]);
  return encode([form.CRDT_FORMAT_VERSION, EXCHANGE, form.contextForm(context), forms]);
}

/** @throws MemplaneError `storage_damaged`, `body_too_large`, `too_deep` */
export function decodeExchange(bytes: Uint8Array, limits?: DecodeLimits): PieceExchange {
  const [contextForm, piecesForm] = openBounded(bytes, EXCHANGE, limits);
  const context = form.contextOfForm(contextForm);
  checkContext(context);
  const standing = new StandingDots(context);
  const pieces = new Map<string, Elements>();
  for (const entry of form.list(piecesForm)) {
    const [prefixForm, elementsForm] = form.list(entry);
    const prefix = prefixOf(prefixForm);
    pieces.set(prefix, elementsOf(elementsForm, prefix, standing));
  }
  const exchange = { pieces, context };
  expectSameBytes(bytes, encodeExchange(exchange));
  return exchange;
}

export function encodePatch(patch: SetPatch): Uint8Array {
  const forms = entriesOf(patch).map(([element, { dots, context }]) => [
    element,
    form.dotsForm(dots),
    form.contextForm(context),
  ]);
  return encode([form.CRDT_FORMAT_VERSION, PATCH, forms]);
}

/** The elements of a patch in the order in which {@link encodePatch} writes them. */
export function elementsOfPatch(patch: SetPatch): string[] {
  return entriesOf(patch).map(([element]) => element);
}

function entriesOf(patch: SetPatch) {
  return [...patch]
    .filter(([, { context }]) => context.size > 0)
    .sort((a, b) => compareText(a[0], b[0]));
}

/** @throws MemplaneError `storage_damaged`, `body_too_large`, `too_deep` */
export function decodePatch(bytes: Uint8Array, limits?: DecodeLimits): SetPatch {
  const [forms] = openBounded(bytes, PATCH, limits);
  const patch: SetPatch = new Map();
  for (const entry of form.list(forms)) {
    const [element, dotsForm, contextForm] = form.list(entry);
    const context = form.contextOfForm(contextForm);
    checkContext(context);
    const dots = form.dotsOfForm(dotsForm);
    if (dots.length > 0) new StandingDots(context).check(dots);
    patch.set(form.text(element), { dots, context });
  }
  checkApart(patch);
  expectSameBytes(bytes, encodePatch(patch));
  return patch;
}

/** One dot is of one element. */
function checkApart(patch: SetPatch): void {
  const all = new Map<Incarnation, [number, number][]>();
  for (const { context } of patch.values()) {
    for (const [incarnation, intervals] of context) {
      const seen = all.get(incarnation) ?? [];
      for (let i = 0; i < intervals.length; i += 2) {
        seen.push([intervals[i] ?? 0, intervals[i + 1] ?? 0]);
      }
      all.set(incarnation, seen);
    }
  }
  for (const intervals of all.values()) {
    let last = 0;
    for (const [from, to] of intervals.sort((a, b) => a[0] - b[0])) {
      if (from <= last) throw form.damaged('a dot of two elements');
      last = to;
    }
  }
}

export function encodeSummaries(summaries: readonly PieceSummary[]): Uint8Array {
  const forms = summaries.map(({ prefix, children }) => [
    prefix,
    [...children]
      .sort((a, b) => compareText(a[0], b[0]))
      .map(([digit, { count, digest }]) => [digit, count, digestBytes(digest)]),
  ]);
  return encode([form.CRDT_FORMAT_VERSION, SUMMARIES, forms]);
}

/** @throws MemplaneError `storage_damaged`, `body_too_large`, `too_deep` */
export function decodeSummaries(bytes: Uint8Array, limits?: DecodeLimits): PieceSummary[] {
  const [forms] = openBounded(bytes, SUMMARIES, limits);
  const summaries = form.list(forms).map((entry) => {
    const [prefixForm, childrenForm] = form.list(entry);
    const children = new Map<string, PieceDigest>();
    for (const child of form.list(childrenForm)) {
      const [digit, count, digest] = form.list(child);
      if (typeof digit !== 'string' || !/^[0-9a-f]$/.test(digit)) throw form.damaged('a digit');
      children.set(digit, { count: countOf(count), digest: digestOf(digest) });
    }
    const prefix = prefixOf(prefixForm);
    if (prefix.length === PIECE_DEPTH_MAX) throw form.damaged('nothing is below a whole hash');
    return { prefix, children };
  });
  expectSameBytes(bytes, encodeSummaries(summaries));
  return summaries;
}

function elementsForm(elements: Elements): unknown[] {
  return [...elements]
    .sort((a, b) => compareText(a[0], b[0]))
    .map(([element, dots]) => [element, form.dotsForm(dots)]);
}

function elementsOf(
  value: unknown,
  prefix: string,
  standing: StandingDots,
): Map<string, readonly Dot[]> {
  const elements = new Map<string, readonly Dot[]>();
  for (const entry of form.list(value)) {
    const [elementForm, dotsForm] = form.list(entry);
    const element = form.text(elementForm);
    if (!elementHash(element).startsWith(prefix)) throw form.damaged('an element of another piece');
    const dots = form.dotsOfForm(dotsForm);
    standing.check(dots);
    elements.set(element, dots);
  }
  return elements;
}

function prefixOf(value: unknown): string {
  const prefix = form.text(value);
  if (prefix.length > PIECE_DEPTH_MAX || !/^[0-9a-f]*$/.test(prefix)) {
    throw form.damaged('a prefix of a hash');
  }
  return prefix;
}

function countOf(value: unknown): number {
  const count = form.int(value);
  if (count < 1) throw form.damaged('a count');
  return count;
}

function digestBytes(digest: bigint): Uint8Array {
  return Buffer.from(digest.toString(16).padStart(32, '0'), 'hex');
}

function digestOf(value: unknown): bigint {
  if (!(value instanceof Uint8Array) || value.length !== 16) throw form.damaged('a digest');
  return BigInt(`0x${Buffer.from(value).toString('hex')}`);
}
