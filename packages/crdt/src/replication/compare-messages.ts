import { encode } from 'cborg';
import { type DecodeLimits, openBounded } from '../bounded-cbor.ts';
import * as form from '../forms.ts';
import type { ReadonlyVector } from './vector.ts';
import { vectorForm, vectorOfForm } from './vector-form.ts';

/*
 * What two replicas ask each other while they compare their states: first the sums of the digests
 * of all values in buckets, then the digests in those that differ, then the values. Each decoder
 * throws MemplaneError `storage_damaged`, `body_too_large` or `too_deep`.
 */
const SUMMARY = 40;
const DIGESTS = 41;
const NAMED_DIGESTS = 42;
const NAMES = 43;

export const BUCKET_BITS_MAX = 12;
const SUM_BYTES = 8;
const DIGEST_BYTES = 16;

/** Sums of digests in 2^bits buckets, and all that the replica had when it began to sum. */
export interface Summary {
  readonly known: ReadonlyVector;
  readonly sums: readonly bigint[];
}

export interface DigestsQuestion {
  readonly bits: number;
  readonly buckets: readonly number[];
}

/** A name as replicas have it, `tenant/name`, with the kind of its value. */
export interface NamedDigest {
  readonly type: string;
  readonly key: string;
  /** 32 hex digits. */
  readonly digest: string;
}

export function encodeSummary({ known, sums }: Summary): Uint8Array {
  const entries = vectorForm(new Map([...known].filter(([, commits]) => commits > 0)));
  const bytes = Buffer.alloc(sums.length * SUM_BYTES);
  sums.forEach((sum, index) => {
    bytes.writeBigUInt64BE(BigInt.asUintN(64, sum), index * SUM_BYTES);
  });
  return encode([form.CRDT_FORMAT_VERSION, SUMMARY, entries, bytes]);
}

export function decodeSummary(bytes: Uint8Array, limits?: DecodeLimits): Summary {
  const [entries, sumsForm] = openBounded(bytes, SUMMARY, limits);
  const known = vectorOfForm(entries);
  const packed = Buffer.from(form.bytes(sumsForm));
  const buckets = packed.length / SUM_BYTES;
  if (buckets < 1 || buckets > 2 ** BUCKET_BITS_MAX || !Number.isInteger(Math.log2(buckets))) {
    throw form.damaged('sums of buckets');
  }
  const sums = Array.from({ length: buckets }, (_, i) => packed.readBigUInt64BE(i * SUM_BYTES));
  return { known, sums };
}

export function encodeDigestsQuestion({ bits, buckets }: DigestsQuestion): Uint8Array {
  return encode([form.CRDT_FORMAT_VERSION, DIGESTS, bits, buckets]);
}

export function decodeDigestsQuestion(bytes: Uint8Array, limits?: DecodeLimits): DigestsQuestion {
  const [bits, buckets] = openBounded(bytes, DIGESTS, limits);
  return { bits: bitsOf(bits), buckets: form.list(buckets).map(form.natural) };
}

export function encodeNamedDigests(digests: readonly NamedDigest[]): Uint8Array {
  const forms = digests.map(({ type, key, digest }) => [type, key, Buffer.from(digest, 'hex')]);
  return encode([form.CRDT_FORMAT_VERSION, NAMED_DIGESTS, forms]);
}

export function decodeNamedDigests(bytes: Uint8Array, limits?: DecodeLimits): NamedDigest[] {
  const [forms] = openBounded(bytes, NAMED_DIGESTS, limits);
  return form.list(forms).map((entry) => {
    const [type, key, digestForm] = form.list(entry);
    const digest = Buffer.from(form.bytes(digestForm));
    if (digest.length !== DIGEST_BYTES) throw form.damaged('a digest');
    return { type: form.text(type), key: form.text(key), digest: digest.toString('hex') };
  });
}

export function encodeNames(keys: readonly string[]): Uint8Array {
  return encode([form.CRDT_FORMAT_VERSION, NAMES, keys]);
}

export function decodeNames(bytes: Uint8Array, limits?: DecodeLimits): string[] {
  const [keys] = openBounded(bytes, NAMES, limits);
  return form.list(keys).map(form.text);
}

function bitsOf(value: unknown): number {
  const bits = form.natural(value);
  if (bits > BUCKET_BITS_MAX) throw form.damaged('more buckets than there are');
  return bits;
}
