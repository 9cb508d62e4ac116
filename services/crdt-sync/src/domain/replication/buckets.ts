import { hash } from 'node:crypto';
import { BUCKET_BITS_MAX, type NamedDigest } from '@memplane/crdt';
import { deltaKeyOf } from '../delta-key.ts';
import type { CrdtStore, DigestPage, ValueDigest } from '../port.ts';

const PAGE_NAMES = 1_000;
/** Values in one bucket, where there are enough buckets. */
const BUCKET_NAMES = 4;

/** All values of a store, a page at a time, so that other work goes on in between. */
export async function* namedDigests(store: CrdtStore): AsyncGenerator<NamedDigest[]> {
  let after: DigestPage['after'];
  for (;;) {
    const page: ValueDigest[] = await store.digests({ after, limit: PAGE_NAMES });
    yield page.map((value) => ({
      type: value.type,
      key: deltaKeyOf(value),
      digest: value.digest,
    }));
    if (page.length < PAGE_NAMES) return;
    after = page.at(-1);
  }
}

/** The sums of the digests in each of 2^bits buckets, and how many values there are. */
export async function sumBuckets(
  store: CrdtStore,
  bits: number,
  signal?: AbortSignal,
): Promise<{ readonly sums: bigint[]; readonly names: number }> {
  const sums = new Array<bigint>(2 ** bits).fill(0n);
  let names = 0;
  for await (const page of namedDigests(store)) {
    signal?.throwIfAborted();
    names += page.length;
    for (const value of page) {
      const bucket = bucketOf(value, bits);
      sums[bucket] = BigInt.asUintN(64, (sums[bucket] ?? 0n) + half(value.digest));
    }
  }
  return { sums, names };
}

/** The values in some of 2^bits buckets. */
export async function digestsIn(
  store: CrdtStore,
  bits: number,
  buckets: ReadonlySet<number>,
  signal?: AbortSignal,
): Promise<NamedDigest[]> {
  const found: NamedDigest[] = [];
  for await (const page of namedDigests(store)) {
    signal?.throwIfAborted();
    found.push(...page.filter((value) => buckets.has(bucketOf(value, bits))));
  }
  return found;
}

/** How many bits make buckets of a few values each. */
export function bitsFor(names: number): number {
  const bits = Math.ceil(Math.log2(Math.max(1, names / BUCKET_NAMES)));
  return Math.min(BUCKET_BITS_MAX, Math.max(0, bits));
}

export function bucketOf({ type, key }: { type: string; key: string }, bits: number): number {
  if (bits === 0) return 0;
  const digits = hash('sha256', `${type}\0${key}`, 'hex').slice(0, 8);
  return Number.parseInt(digits, 16) >>> (32 - bits);
}

function half(digest: string): bigint {
  return BigInt(`0x${digest.slice(0, 16)}`);
}
