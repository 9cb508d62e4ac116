import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { TOPICS } from '@memplane/contracts';
import { ConfigError, createLogger, stopOnSignals } from '@memplane/runtime';
import {
  createDaprInvoker,
  DaprPublisher,
  DaprState,
  readSidecarConfig,
  type SidecarConfig,
} from '@memplane/runtime/dapr';
import { DaprStrong } from '@memplane/runtime/strong';
import { type CrdtSyncConfig, readCrdtSyncConfig } from './config.ts';
import type { AlertSink } from './domain/alert-publishing.ts';
import { openRedisStorage } from './drivers/redis/redis-storage.ts';
import { createCrdtSync } from './folder-replica.ts';
import {
  type CrdtSync,
  type CrdtSyncContext,
  createCrdtSyncOn,
  type StrongContext,
} from './service.ts';

const config = readCrdtSyncConfig(process.env);
const sidecar = readSidecarConfig(process.env);
const logger = createLogger('crdt-sync', config.logLevel);
const service = await create(config, {
  logger,
  ...(sidecar
    ? {
        alertSink: topicOf(new DaprPublisher(sidecar)),
        invoker: createDaprInvoker(sidecar),
        strong: strongBy(sidecar),
      }
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

function strongBy(sidecar: SidecarConfig): StrongContext {
  const store = new DaprStrong({
    state: new DaprState(sidecar, 'strong'),
    timeoutMs: config.strongTimeoutMs,
    settleMs: config.strongSettleMs,
    monotonicMs: () => performance.now(),
    pause,
  });
  return { store, prepare: () => store.prepare() };
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
