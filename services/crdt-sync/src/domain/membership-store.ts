import { z } from 'zod';

/** What a replica has to know of its cluster when it starts again. */
export const membershipRecordSchema = z.object({
  /** Of the last start; each start's is higher. */
  startEpoch: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
  /** Ids that are refused for good. */
  forgotten: z.array(z.string()),
  /** The id in place of that of the settings, which is forgotten. */
  renamed: z.object({ from: z.string(), to: z.string() }).optional(),
});
export type MembershipRecord = z.infer<typeof membershipRecordSchema>;

/** Where that outlasts the service. */
export interface MembershipStore {
  /** Undefined before the first start. @throws MemplaneError `storage_damaged` */
  loadMembership(): Promise<MembershipRecord | undefined>;
  /** Durable when it resolves. @throws MemplaneError `storage_full`, `storage_unavailable` */
  saveMembership(record: MembershipRecord): Promise<void>;
}
