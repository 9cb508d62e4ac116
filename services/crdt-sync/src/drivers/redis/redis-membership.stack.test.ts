import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { membershipContract } from '../membership-contract.ts';
import type { RedisConnection } from './connection.ts';
import { RedisMembership } from './redis-membership.ts';
import { TestRedis } from './test-redis.ts';

describe('redis membership', () => {
  let redis: TestRedis;
  let own: RedisConnection;
  before(async () => {
    redis = await TestRedis.start();
    own = await redis.connect();
  });
  after(async () => {
    await redis[Symbol.asyncDispose]();
  });

  membershipContract(async () => {
    await own.command(['FLUSHALL']);
    return {
      open: async () => new RedisMembership(await redis.connect(), 'a'),
      damage: async (record) => {
        await own.command(['HSET', '_replica:membership', 'a', record]);
      },
      cleanUp: async () => {},
    };
  });

  it('keeps replicas of one Redis apart', async () => {
    await new RedisMembership(own, 'b').saveMembership({ startEpoch: 3, forgotten: [] });
    assert.equal(await new RedisMembership(own, 'c').loadMembership(), undefined);
  });
});
