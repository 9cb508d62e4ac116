import path from 'node:path';
import { TOPICS } from '@memplane/contracts';
import { ConfigError, createLogger, stopOnSignals } from '@memplane/runtime';
import { createDaprInvoker, DaprPublisher, readSidecarConfig } from '@memplane/runtime/dapr';
import { type CrdtSyncConfig, readCrdtSyncConfig } from './config.ts';
import type { AlertSink } from './domain/alert-publishing.ts';
import type { CrdtStorage } from './domain/storage.ts';
import { openEmbeddedStorage } from './drivers/embedded-storage.ts';
import { openRedisStorage } from './drivers/redis/redis-storage.ts';
import { createCrdtSyncOn } from './service.ts';

const config = readCrdtSyncConfig(process.env);
const sidecar = readSidecarConfig(process.env);
const logger = createLogger('crdt-sync', config.logLevel);
const service = await createCrdtSyncOn(config, await openStorage(config), {
  logger,
  ...(sidecar
    ? { alertSink: topicOf(new DaprPublisher(sidecar)), invoker: createDaprInvoker(sidecar) }
    : {}),
});
await service.start();
stopOnSignals(service, { drainTimeoutMs: config.drainTimeoutMs + 5_000 });

function openStorage({ redisUrl, dataDir }: CrdtSyncConfig): Promise<CrdtStorage> {
  const now = Date.now;
  if (redisUrl) return openRedisStorage({ ...config, redisUrl }, { now, logger });
  if (dataDir) return openEmbeddedStorage(config, { dir: path.join(dataDir, 'crdt'), now });
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
