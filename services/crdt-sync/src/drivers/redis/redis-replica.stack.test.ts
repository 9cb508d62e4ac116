import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { replicaContract } from '../replica-contract.ts';
import type { RedisConnection } from './connection.ts';
import { TestRedis } from './test-redis.ts';
import { redisReplica } from './test-redis-replica.ts';

describe('a replica on Redis', () => {
  let redis: TestRedis;
  before(async () => {
    redis = await TestRedis.start();
  });
  after(async () => {
    await redis[Symbol.asyncDispose]();
  });

  replicaContract(async () => {
    const hand = await redis.connect();
    await hand.command(['FLUSHALL']);
    let connection: RedisConnection | undefined;
    return {
      start: async (options) => {
        await connection?.close();
        connection = await redis.connect();
        return redisReplica(connection, options);
      },
      damage: async (type, { tenant, name }) => {
        const key = `${tenant}:${type}:${name}`;
        const record = await hand.command(['GET', key]);
        assert.ok(Buffer.isBuffer(record));
        record.writeUInt8(record.readUInt8(record.length - 1) ^ 1, record.length - 1);
        await hand.command(['SET', key, record]);
      },
      cleanUp: async () => {
        await connection?.close();
        await hand.close();
      },
    };
  });
});
