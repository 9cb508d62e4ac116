import { fnv1a, fromBase64Url, readUint32, toBase64Url } from './base64url.ts';
import { MemplaneError } from './errors.ts';

/** How many commits of each incarnation of a replica a read must include, or a replica has. */
export type CommitVector = ReadonlyMap<string, number>;

const PREFIX = 'mct_';
const FORMAT_VERSION = 2;
const INCARNATION_BYTES = 16;
const ENTRY_BYTES = INCARNATION_BYTES + 6;
const CHECK_BYTES = 4;
const ENTRIES_MAX = 4_096;

/**
 * Writes a vector as an opaque token: `mct_` and base64url of version, (incarnation, commits in 6
 * bytes)…, FNV-1a checksum. Of one that is too long the end is kept. As `token.ts`, it runs wherever
 * there is `fetch`.
 */
export function encodeSessionToken(vector: CommitVector): string {
  const bytes = [FORMAT_VERSION];
  const entries = [...vector].filter(([, commits]) => commits > 0).slice(-ENTRIES_MAX);
  for (const [incarnation, commits] of entries) {
    for (let at = 0; at < INCARNATION_BYTES * 2; at += 2) {
      bytes.push(Number.parseInt(incarnation.slice(at, at + 2), 16));
    }
    for (let power = 5; power >= 0; power--) bytes.push(Math.floor(commits / 256 ** power) % 256);
  }
  let sum = fnv1a(bytes);
  for (let i = 0; i < CHECK_BYTES; i++, sum >>>= 8) bytes.push(sum & 0xff);
  return PREFIX + toBase64Url(bytes);
}

/** @throws MemplaneError `invalid_token` for what {@link encodeSessionToken} did not write. */
export function decodeSessionToken(token: string, field = 'token'): Map<string, number> {
  const text = token.slice(PREFIX.length);
  const isText = token.startsWith(PREFIX) && /^[A-Za-z0-9_-]+$/.test(text);
  const bytes = (isText ? fromBase64Url(text) : undefined) ?? new Uint8Array();
  const end = bytes.length - CHECK_BYTES;
  const isWhole =
    end > 0 &&
    bytes[0] === FORMAT_VERSION &&
    (end - 1) % ENTRY_BYTES === 0 &&
    fnv1a(bytes.subarray(0, end)) === readUint32(bytes, end) &&
    toBase64Url(bytes) === text;
  if (!isWhole) {
    throw new MemplaneError('invalid_token', 'This is no token of a replica (mct_…).', { field });
  }
  const vector = new Map<string, number>();
  for (let at = 1; at < end; at += ENTRY_BYTES) {
    const digits = [...bytes.subarray(at, at + INCARNATION_BYTES)];
    const incarnation = digits.map((byte) => byte.toString(16).padStart(2, '0')).join('');
    let commits = 0;
    for (let i = INCARNATION_BYTES; i < ENTRY_BYTES; i++) {
      commits = commits * 256 + (bytes[at + i] ?? 0);
    }
    vector.set(incarnation, commits);
  }
  return vector;
}

/** What several tokens ask for. */
export function joinVectors(vectors: Iterable<CommitVector>): Map<string, number> {
  const joined = new Map<string, number>();
  for (const vector of vectors) {
    for (const [incarnation, commits] of vector) {
      joined.set(incarnation, Math.max(commits, joined.get(incarnation) ?? 0));
    }
  }
  return joined;
}
