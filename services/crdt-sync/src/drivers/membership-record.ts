import type { MembershipRecord } from '../domain/membership-store.ts';
import { membershipRecordSchema } from '../domain/membership-store.ts';

/** The body of the record, which each driver seals as its others. */
export function encodeMembership(record: MembershipRecord): Buffer {
  return Buffer.from(JSON.stringify(record));
}

/** Undefined for what is no such body. */
export function decodeMembership(body: Buffer): MembershipRecord | undefined {
  try {
    return membershipRecordSchema.parse(JSON.parse(body.toString()));
  } catch {
    return undefined;
  }
}
