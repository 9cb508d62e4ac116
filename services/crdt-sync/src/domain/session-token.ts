import { hash } from 'node:crypto';
import { MemplaneError } from '@memplane/contracts';
import type { Incarnation } from '@memplane/crdt';

/** How many commits of each incarnation a read must include, or a replica has. */
export type CommitVector = ReadonlyMap<Incarnation, number>;

const PREFIX = 'mct_';
const FORMAT_VERSION = 1;
const ENTRY_BYTES = 22;
const CHECK_BYTES = 4;
const ENTRIES_MAX = 4_096;

/** An opaque text: version, (incarnation, commits)…, and a checksum against slips of the hand. */
export function encodeSessionToken(vector: CommitVector): string {
  const entries = [...vector].filter(([, commits]) => commits > 0).slice(-ENTRIES_MAX);
  const body = Buffer.alloc(1 + entries.length * ENTRY_BYTES);
  body[0] = FORMAT_VERSION;
  entries.forEach(([incarnation, commits], index) => {
    const at = 1 + index * ENTRY_BYTES;
    body.write(incarnation, at, 'hex');
    body.writeUIntBE(commits, at + 16, 6);
  });
  return PREFIX + Buffer.concat([body, checksum(body)]).toString('base64url');
}

/** @throws MemplaneError `invalid_token` for what {@link encodeSessionToken} did not write. */
export function decodeSessionToken(token: string, field = 'token'): Map<Incarnation, number> {
  const bytes = Buffer.from(token.slice(PREFIX.length), 'base64url');
  const body = bytes.subarray(0, -CHECK_BYTES);
  const isWhole =
    token.startsWith(PREFIX) &&
    bytes.toString('base64url') === token.slice(PREFIX.length) &&
    body[0] === FORMAT_VERSION &&
    (body.length - 1) % ENTRY_BYTES === 0 &&
    checksum(body).equals(bytes.subarray(-CHECK_BYTES));
  if (!isWhole) {
    throw new MemplaneError('invalid_token', 'This is no token of a replica (mct_…).', { field });
  }
  const vector = new Map<Incarnation, number>();
  for (let at = 1; at < body.length; at += ENTRY_BYTES) {
    vector.set(body.toString('hex', at, at + 16), body.readUIntBE(at + 16, 6));
  }
  return vector;
}

/** What several tokens ask for. */
export function joinVectors(vectors: Iterable<CommitVector>): Map<Incarnation, number> {
  const joined = new Map<Incarnation, number>();
  for (const vector of vectors) {
    for (const [incarnation, commits] of vector) {
      joined.set(incarnation, Math.max(commits, joined.get(incarnation) ?? 0));
    }
  }
  return joined;
}

export function covers(has: CommitVector, needs: CommitVector): boolean {
  for (const [incarnation, commits] of needs) {
    if ((has.get(incarnation) ?? 0) < commits) return false;
  }
  return true;
}

function checksum(body: Uint8Array): Buffer {
  return hash('sha256', body, 'buffer').subarray(0, CHECK_BYTES);
}
