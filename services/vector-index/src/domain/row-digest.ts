import type { EventLine } from './ports.ts';

const DIGEST_BYTES = 8;
/** Base64url of more than eight bytes. */
const DIGEST_CHARS = 11;
const scratch = Buffer.alloc(DIGEST_BYTES);
/** 2⁶⁴ by the golden ratio, odd: places that differ little get products that differ much. */
const SPREAD = 0x9e37_79b9_7f4a_7c15n;

/**
 * 64 bits that stand for a row; their sum does not depend on the order in which rows came. All of a
 * row follows from its event, whose digest event-ingest has computed, and from its place in the log.
 * @param home the partition that has its record, where another one tells of it since the log grew
 */
export function rowDigest({ partition, offset, event }: EventLine, home = partition): bigint {
  scratch.fill(0);
  // What is in the log and was not written by event-ingest may lack it.
  const { digest = '' } = event as Partial<typeof event>;
  scratch.write(digest.slice(0, DIGEST_CHARS), 'base64url');
  const place = (BigInt(home) << 48n) | BigInt(offset);
  return scratch.readBigUInt64BE() ^ BigInt.asUintN(64, place * SPREAD);
}
