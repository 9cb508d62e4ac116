import { after, before, describe } from 'node:test';
import { storeContract } from '../contract.ts';
import { RedisStore } from './redis-store.ts';
import { TestRedis } from './test-redis.ts';

describe('redis store', () => {
  let redis: TestRedis;
  before(async () => {
    redis = await TestRedis.start();
  });
  after(async () => {
    await redis[Symbol.asyncDispose]();
  });

  storeContract(async () => {
    const own = await redis.connect();
    await own.command(['FLUSHALL']);
    return {
      open: async () => new RedisStore(await redis.connect()),
      damageSet: async (_store, { tenant, name }) => {
        await own.command(['HDEL', `${tenant}:elements:${name}`, 'x']);
      },
      cleanUp: () => own.close(),
    };
  });
});
