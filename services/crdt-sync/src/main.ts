import path from 'node:path';
import { TOPICS } from '@memplane/contracts';
import { ConfigError, createLogger, stopOnSignals } from '@memplane/runtime';
import { createDaprInvoker, DaprPublisher, readSidecarConfig } from '@memplane/runtime/dapr';
import { type CrdtSyncConfig, readCrdtSyncConfig } from './config.ts';
import type { AlertSink } from './domain/alert-publishing.ts';
import { openRedisStorage } from './drivers/redis/redis-storage.ts';
import { createCrdtSync } from './folder-replica.ts';
import { type CrdtSync, type CrdtSyncContext, createCrdtSyncOn } from './service.ts';

const config = readCrdtSyncConfig(process.env);
const sidecar = readSidecarConfig(process.env);
const logger = createLogger('crdt-sync', config.logLevel);
const service = await create(config, {
  logger,
  ...(sidecar
    ? { alertSink: topicOf(new DaprPublisher(sidecar)), invoker: createDaprInvoker(sidecar) }
    : {}),
});
await service.start();
stopOnSignals(service, { drainTimeoutMs: config.drainTimeoutMs + 5_000 });

async function create(config: CrdtSyncConfig, context: CrdtSyncContext): Promise<CrdtSync> {
  const { redisUrl, dataDir } = config;
  if (redisUrl) {
    const storage = await openRedisStorage({ ...config, redisUrl }, { now: Date.now, logger });
    return createCrdtSyncOn(config, storage, context);
  }
  if (dataDir) return createCrdtSync(config, { ...context, dir: path.join(dataDir, 'crdt') });
  throw new ConfigError('MEMPLANE_REDIS_URL or MEMPLANE_DATA_DIR must say where the data is');
}

function topicOf(publisher: DaprPublisher): AlertSink {
  return {
    publish: (alerts) =>
      publisher.publish(
        TOPICS.alerts,
        alerts.map((alert) => ({ key: alert.subject ?? alert.code, value: alert })),
      ),
  };
}
