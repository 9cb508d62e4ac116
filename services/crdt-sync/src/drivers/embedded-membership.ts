import { MemplaneError } from '@memplane/contracts';
import type { MembershipRecord, MembershipStore } from '../domain/membership-store.ts';
import type { EmbeddedStore } from './embedded-store.ts';
import { membershipKey } from './keys.ts';
import { decodeMembership, encodeMembership } from './membership-record.ts';
import { opened, sealed } from './records.ts';

/** One record of the replica's own, beside its alerts. */
export class EmbeddedMembership implements MembershipStore {
  readonly #store: EmbeddedStore;

  constructor(store: EmbeddedStore) {
    this.#store = store;
  }

  async loadMembership(): Promise<MembershipRecord | undefined> {
    const sealedRecord = await this.#store.loadOwnRecord(membershipKey());
    if (sealedRecord === undefined) return undefined;
    const record = decodeMembership(opened(sealedRecord));
    if (record !== undefined) return record;
    throw new MemplaneError('storage_damaged', 'A stored value is damaged: the membership.');
  }

  saveMembership(record: MembershipRecord): Promise<void> {
    return this.#store.saveOwnRecord(membershipKey(), sealed(encodeMembership(record)));
  }
}
