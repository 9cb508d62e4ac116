import { formatDigest, type PieceDigest } from '@memplane/crdt';
import { KeyWriter, prefixEnd, type WriteBatch } from '@memplane/rocks';
import type { Ref } from '../domain/port.ts';
import * as records from './records.ts';

/** Digits of the prefixes whose sums are kept. */
export const KEPT_DIGITS = 3;

const SUM = 0x75;
const ELEMENT = 0x68;
/** That a set's pieces are kept. */
const MARK = 0x6c;
const HASH_BYTES = 16;
const DIGEST_BYTES = 16;
const COUNT_BYTES = 8;

const writer = new KeyWriter();

export function markKey(ref: Ref): Buffer {
  return writer.begin(ref.tenant).u8(MARK).text(ref.name).finish();
}

export function sumKey(ref: Ref, prefix: string): Buffer {
  return start(SUM, ref).raw(Buffer.from(prefix)).finish();
}

export function sumRange(ref: Ref, prefix: string) {
  return rangeOf(sumKey(ref, prefix));
}

export function prefixOfSumKey(key: Buffer): string {
  return key.toString('latin1', key.length - KEPT_DIGITS);
}

/** @param hash in hex digits */
export function elementKey(ref: Ref, hash: string): Buffer {
  return start(ELEMENT, ref).raw(Buffer.from(hash, 'hex')).finish();
}

/** The rows of all elements whose hash begins with these digits. */
export function elementRange(ref: Ref, prefix: string) {
  const { gte } = rangeOf(elementKey(ref, prefix.padEnd(prefix.length + (prefix.length % 2), '0')));
  if (prefix.length % 2 === 0) return rangeOf(elementKey(ref, prefix));
  const last = rangeOf(elementKey(ref, `${prefix}f`));
  return { gte, lt: last.lt };
}

export function hashOfKey(key: Buffer): string {
  return key.toString('hex', key.length - HASH_BYTES);
}

export function sumRow({ count, digest }: PieceDigest): Buffer {
  const counted = Buffer.alloc(COUNT_BYTES);
  counted.writeDoubleBE(count, 0);
  return records.sealed(counted, Buffer.from(formatDigest(digest), 'hex'));
}

/** @throws MemplaneError `storage_damaged` */
export function readSum(row: Buffer): PieceDigest {
  const body = records.opened(row);
  if (body.length !== COUNT_BYTES + DIGEST_BYTES) throw records.damaged('the sum of a piece');
  const digest = BigInt(`0x${body.toString('hex', COUNT_BYTES)}`);
  return { count: body.readDoubleBE(0), digest };
}

export function dropPieces(batch: WriteBatch, ref: Ref): void {
  batch.delete(markKey(ref));
  for (const { gte, lt } of [sumRange(ref, ''), elementRange(ref, '')]) batch.deleteRange(gte, lt);
}

function start(kind: number, ref: Ref): KeyWriter {
  return writer.begin(ref.tenant).u8(kind).text(ref.name);
}

function rangeOf(gte: Buffer) {
  return { gte, lt: prefixEnd(gte) ?? Buffer.from([0xff]) };
}
