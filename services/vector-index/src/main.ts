import { SERVICES } from '@memplane/contracts';
import { createHttpInvoker, stopOnSignals } from '@memplane/runtime';
import { createDaprInvoker, readSidecarConfig } from '@memplane/runtime/dapr';
import { readVectorIndexConfig } from './config.ts';
import { createVectorIndex } from './service.ts';

const config = readVectorIndexConfig(process.env);
const at = (port: number) => `http://127.0.0.1:${port}`;
const sidecar = readSidecarConfig(process.env);
const invoker = sidecar
  ? createDaprInvoker(sidecar)
  : createHttpInvoker(
      {
        'event-ingest': at(SERVICES['event-ingest'].port),
        materializer: config.materializerUrl,
        'crdt-sync': at(SERVICES['crdt-sync'].port),
        'vector-index': at(config.port),
      },
      config.token ? { headers: { authorization: `Bearer ${config.token}` } } : {},
    );
const service = await createVectorIndex(config, { invoker });
await service.start();
stopOnSignals(service, { drainTimeoutMs: config.drainTimeoutMs + 5_000 });
