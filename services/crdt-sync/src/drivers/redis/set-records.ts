import { type CausalContext, decodeContext } from '@memplane/crdt';
import { damaged, type OpenedRecord, openRecord } from './redis-records.ts';

/** From this version on a set may be cut into pieces. */
const HEADER_VERSION = 2;
/** Of this version a row is of a piece that stands in buckets. */
const BUCKETED_VERSION = 2;
const SUM_DIGITS = 32;
const ROW_BYTES = 8 + SUM_DIGITS;
const DIGEST_BYTES = 16;

/** How many elements there are, and the sum of their records' checksums. */
export interface Counted {
  readonly elements: number;
  readonly sum: bigint;
}

/** As `lua/5-set.lua` writes it, or wrote it before there were pieces. */
export interface StoredHeader extends Counted {
  readonly elementBytes: number;
  /** Those that are not cut into pieces. */
  readonly uncut: Counted;
  readonly context: CausalContext;
  readonly opened: OpenedRecord;
}

/** What is kept of a piece. */
export interface PieceRow extends Counted {
  /** The sum of the elements' digests, where it was computed since the piece last changed. */
  readonly digest: bigint | undefined;
}

/** @throws MemplaneError `storage_damaged` */
export function readHeader(record: Buffer): StoredHeader {
  const opened = openRecord(record, HEADER_VERSION);
  const { body } = opened;
  const isCut = record[0] === HEADER_VERSION;
  const sumAt = isCut ? 24 : 16;
  const contextAt = sumAt + SUM_DIGITS * (isCut ? 2 : 1);
  if (body.length < contextAt) throw damaged('a set is cut short');
  const elements = body.readDoubleBE(0);
  const sum = readSum(body, sumAt);
  const uncut = isCut
    ? { elements: body.readDoubleBE(16), sum: readSum(body, sumAt + SUM_DIGITS) }
    : { elements, sum };
  const context = decodeContext(body.subarray(contextAt));
  return { elements, elementBytes: body.readDoubleBE(8), sum, uncut, context, opened };
}

/** @throws MemplaneError `storage_damaged` */
export function readRow(record: Buffer): PieceRow {
  const { body, isIntact } = openRecord(record, BUCKETED_VERSION);
  const hasDigest = body.length === ROW_BYTES + DIGEST_BYTES;
  if (!isIntact || (body.length !== ROW_BYTES && !hasDigest)) throw damaged('the sum of a piece');
  const digest = hasDigest ? BigInt(`0x${body.toString('hex', ROW_BYTES)}`) : undefined;
  return { elements: body.readDoubleBE(0), sum: readSum(body, 8), digest };
}

function readSum(body: Buffer, at: number): bigint {
  const digits = body.toString('latin1', at, at + SUM_DIGITS);
  if (!/^[0-9a-f]{32}$/.test(digits)) throw damaged('a sum of checksums');
  return BigInt(`0x${digits}`);
}
