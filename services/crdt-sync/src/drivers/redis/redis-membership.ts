import type { MembershipRecord, MembershipStore } from '../../domain/membership-store.ts';
import { decodeMembership, encodeMembership } from '../membership-record.ts';
import type { RedisConnection } from './connection.ts';
import { damaged, openBare, sealBare } from './redis-records.ts';

const MEMBERSHIP = '_replica:membership';

/** Each replica has a record of its own, which nobody else writes. */
export class RedisMembership implements MembershipStore {
  readonly #redis: RedisConnection;
  readonly #replicaId: string;

  constructor(redis: RedisConnection, replicaId: string) {
    this.#redis = redis;
    this.#replicaId = replicaId;
  }

  async loadMembership(): Promise<MembershipRecord | undefined> {
    const reply = await this.#redis.command(['HGET', MEMBERSHIP, this.#replicaId]);
    if (reply === null) return undefined;
    const record = Buffer.isBuffer(reply) ? decodeMembership(openBare(reply)) : undefined;
    if (record === undefined) throw damaged('the membership');
    return record;
  }

  async saveMembership(record: MembershipRecord): Promise<void> {
    const sealedRecord = sealBare(encodeMembership(record));
    await this.#redis.command(['HSET', MEMBERSHIP, this.#replicaId, sealedRecord]);
  }
}
