import path from 'node:path';
import { openEmbeddedLog } from '@memplane/event-log';
import { ConfigError, type Env, stopOnSignals } from '@memplane/runtime';
import { readSidecarConfig } from '@memplane/runtime/dapr';
import { type IngestConfig, readIngestConfig } from './config.ts';
import { openDistributed } from './distributed.ts';
import { createEventIngest, type IngestContext } from './service.ts';

const config = readIngestConfig(process.env);
const context = await openContext(config, process.env);
const service = await createEventIngest(config, context);
await service.start();
stopOnSignals(
  {
    drain: () => service.drain(),
    async stop() {
      await service.stop();
      await context.logWriter.close();
    },
  },
  { drainTimeoutMs: config.drainTimeoutMs + 5_000 },
);

async function openContext(config: IngestConfig, env: Env): Promise<IngestContext> {
  if (config.kafkaBrokers === undefined) return openFolder(config, env['MEMPLANE_DATA_DIR']);
  const sidecar = readSidecarConfig(env);
  if (!sidecar) throw new ConfigError('with MEMPLANE_KAFKA_BROKERS, DAPR_HTTP_PORT is needed too');
  return openDistributed(config, sidecar);
}

async function openFolder(config: IngestConfig, dir: string | undefined): Promise<IngestContext> {
  if (!dir) throw new ConfigError('MEMPLANE_DATA_DIR must name the folder of the log');
  const { produceDeadlineMs } = config;
  const { writer } = await openEmbeddedLog({ dir: path.join(dir, 'log'), produceDeadlineMs });
  return { logWriter: writer };
}
