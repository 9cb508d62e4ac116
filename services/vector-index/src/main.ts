import { SERVICES } from '@memplane/contracts';
import {
  createHttpInvoker,
  createLogger,
  type Invoker,
  serviceHeaders,
  stopOnSignals,
} from '@memplane/runtime';
import { createDaprInvoker, readSidecarConfig } from '@memplane/runtime/dapr';
import { readVectorIndexConfig, type VectorIndexConfig } from './config.ts';
import { createVectorIndex } from './service.ts';

const config = readVectorIndexConfig(process.env);
const sidecar = readSidecarConfig(process.env);
const logger = createLogger('vector-index', config.logLevel);
// The client of Milvus is loaded where it is used only.
const vectors = config.milvusAddress
  ? (await import('./drivers/milvus/from-config.ts')).milvusVectors(config, logger)
  : undefined;
const service = await createVectorIndex(config, {
  invoker: sidecar ? createDaprInvoker(sidecar) : directInvoker(config),
  appToken: sidecar?.appToken,
  logger,
  vectors,
});
await service.start();
stopOnSignals(service, { drainTimeoutMs: config.drainTimeoutMs + 5_000 });

function directInvoker(config: VectorIndexConfig): Invoker {
  const { port, materializerUrl } = config;
  const at = (own: number) => `http://127.0.0.1:${own}`;
  return createHttpInvoker(
    {
      'event-ingest': at(SERVICES['event-ingest'].port),
      materializer: materializerUrl,
      'crdt-sync': at(SERVICES['crdt-sync'].port),
      'vector-index': at(port),
    },
    { headers: serviceHeaders(config) },
  );
}
