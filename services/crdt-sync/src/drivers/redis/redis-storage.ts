import { randomBytes } from 'node:crypto';
import type { Logger } from '@memplane/runtime';
import type { CrdtSyncConfig } from '../../config.ts';
import type { CrdtStorage } from '../../domain/storage.ts';
import { RedisConnection } from './connection.ts';
import { RedisAlerts } from './redis-alerts.ts';
import { RedisExecutor } from './redis-executor.ts';
import { RedisMembership } from './redis-membership.ts';
import { RedisStore } from './redis-store.ts';

/** How soon the commits of other instances on the same Redis are known here. */
const KNOWN_REFRESH_MS = 1_000;

/**
 * A Redis that several instances of the service share.
 * @throws MemplaneError `storage_unavailable` where none is usable within `redisStartTimeoutMs`
 */
export async function openRedisStorage(
  config: CrdtSyncConfig & { readonly redisUrl: string },
  options: { readonly now: () => number; readonly logger: Logger },
): Promise<CrdtStorage> {
  const connection = await RedisConnection.open(
    {
      url: config.redisUrl,
      password: config.redisPassword,
      connectTimeoutMs: config.redisConnectTimeoutMs,
      commandTimeoutMs: config.redisCommandTimeoutMs,
      reconnect_delay_ms_max: config.redis_reconnect_delay_ms_max,
      appendfsync: config.redisAppendfsync,
      logger: options.logger,
    },
    config.redisStartTimeoutMs,
  );
  const store = new RedisStore(connection);
  const executor = new RedisExecutor({
    ...config,
    connection,
    store,
    now: options.now,
    batch_commands_max: config.redis_batch_commands_max,
    call_elements_max: config.redis_call_elements_max,
    newIncarnation: () => randomBytes(16).toString('hex'),
  });
  if (config.gossip !== undefined) void executor.watch(KNOWN_REFRESH_MS);
  const describe = () => ({
    redis: connection.session?.facts ?? { failure: connection.failure?.message },
  });
  return {
    store,
    alerts: new RedisAlerts(store, config.instance),
    membership: new RedisMembership(connection, config.replicaId),
    executor,
    describe,
    get appendfsync() {
      return connection.session?.facts.appendfsync ?? 'unknown';
    },
  };
}
