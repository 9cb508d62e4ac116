import { MemplaneError } from '@memplane/contracts';
import {
  type DecodeLimits,
  decodeContext,
  decodeExchange,
  decodeNames,
  decodeSummaries,
  encodeContext,
  encodeExchange,
  encodeNames,
  encodeSummaries,
  type PieceExchange,
} from '@memplane/crdt';
import type { PieceDigests } from '../set-pieces.ts';

/** Elements that are given at once, and somewhat more: the last prefix is given whole. */
export const GIVEN_ELEMENTS_MAX = 4_096;
/** Prefixes that are asked for at once. */
export const PREFIXES_MAX = 256;

const EXCHANGE_LIMITS: DecodeLimits = {
  bytes_max: 64 * 1024 * 1024,
  depth_max: 64,
  items_max: 10_000_000,
};
const LENGTH_BYTES = 4;

export interface PieceQuestion {
  /** `tenant/name` */
  readonly key: string;
  readonly prefixes: readonly string[];
}

export function encodeQuestion({ key, prefixes }: PieceQuestion): Uint8Array {
  return encodeNames([key, ...prefixes]);
}

/** @throws MemplaneError `storage_damaged` for what is no question */
export function decodeQuestion(bytes: Uint8Array): PieceQuestion {
  const [key, ...prefixes] = decodeNames(bytes);
  const isWell = prefixes.every((prefix) => /^[0-9a-f]{0,32}$/.test(prefix));
  if (key === undefined || !isWell || prefixes.length > PREFIXES_MAX) {
    throw new MemplaneError('storage_damaged', 'That is no question for pieces of a set.');
  }
  return { key, prefixes };
}

/** `length of the context, context, digests`; nothing where no digests are kept. */
export function encodeDigests(digests: PieceDigests | undefined): Uint8Array {
  if (digests === undefined) return new Uint8Array();
  const context = encodeContext(digests.context);
  const head = Buffer.alloc(LENGTH_BYTES);
  head.writeUInt32BE(context.length);
  return Buffer.concat([head, context, encodeSummaries(digests.summaries)]);
}

/** @throws MemplaneError for what {@link encodeDigests} did not write */
export function decodeDigests(answer: Uint8Array): PieceDigests | undefined {
  const bytes = Buffer.from(answer.buffer, answer.byteOffset, answer.byteLength);
  if (bytes.length === 0) return undefined;
  if (bytes.length < LENGTH_BYTES) {
    throw new MemplaneError('dependency_unavailable', 'Another replica speaks otherwise.');
  }
  const end = LENGTH_BYTES + bytes.readUInt32BE(0);
  return {
    context: decodeContext(bytes.subarray(LENGTH_BYTES, end)),
    summaries: decodeSummaries(bytes.subarray(end)),
  };
}

export function encodeElements(exchange: PieceExchange | undefined): Uint8Array {
  return exchange === undefined ? new Uint8Array() : encodeExchange(exchange);
}

/** @throws MemplaneError for what {@link encodeElements} did not write */
export function decodeElements(answer: Uint8Array): PieceExchange | undefined {
  return answer.length === 0 ? undefined : decodeExchange(answer, EXCHANGE_LIMITS);
}
