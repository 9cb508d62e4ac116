import { createHash } from 'node:crypto';
import { ByteWriter } from '../wire/bytes.ts';
import { DIGEST_BYTES, STATUSES, writeClaim } from '../wire/message.ts';
import { isLive, type MemberTable } from './member-table.ts';

/**
 * Equal where two lists say the same of the same live members. The dead and the left are not in it:
 * a list does not teach them to who never knew them, so the digests would differ for as long as
 * one side keeps them. Nor is the accuser, of whom each side may have heard another.
 */
export function listDigest(table: MemberTable): Uint8Array {
  const live = [...table.values()].filter(isLive).sort((a, b) => (a.id < b.id ? -1 : 1));
  const writer = new ByteWriter();
  for (const record of live) writeClaim(writer.byte(STATUSES.indexOf(record.status)), record);
  const hash = createHash('sha256').update(writer.done()).digest();
  return new Uint8Array(hash.subarray(0, DIGEST_BYTES));
}
