import assert from 'node:assert/strict';
import type { Seeded } from '@memplane/testkit';
import { ExchangeWorld } from '../../domain/test-exchange-world.ts';
import type { RedisConnection } from './connection.ts';
import type { TestRedis } from './test-redis.ts';
import { redisReplica } from './test-redis-replica.ts';

export interface RedisWorldOptions {
  readonly cleanShare: number;
  readonly call_elements_max: number;
}

/** Replicas with a Redis each, all of which are emptied first. A restart is another connection. */
export class RedisWorld implements AsyncDisposable {
  readonly exchange: ExchangeWorld;
  readonly #servers: readonly TestRedis[];
  readonly #connections = new Map<number, RedisConnection>();

  private constructor(
    servers: readonly TestRedis[],
    random: Seeded,
    { cleanShare, call_elements_max }: RedisWorldOptions,
  ) {
    this.#servers = servers;
    this.exchange = new ExchangeWorld(
      random,
      async (index, options) =>
        redisReplica(await this.#connect(index), options, call_elements_max),
      cleanShare,
    );
  }

  static async start(
    servers: readonly TestRedis[],
    random: Seeded,
    options: RedisWorldOptions,
  ): Promise<RedisWorld> {
    const world = new RedisWorld(servers, random, options);
    for (const index of servers.keys()) {
      await (await world.#connect(index)).command(['FLUSHALL']);
    }
    await world.exchange.start(servers.length);
    return world;
  }

  async #connect(index: number): Promise<RedisConnection> {
    await this.#connections.get(index)?.close();
    const connection = await (this.#servers[index] ?? assert.fail()).connect();
    this.#connections.set(index, connection);
    return connection;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections.values()) await connection.close();
  }
}
