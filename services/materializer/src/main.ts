import { openEmbeddedReader } from '@memplane/event-log';
import { createHttpInvoker, stopOnSignals } from '@memplane/runtime';
import { readMaterializerConfig, serviceUrls } from './config.ts';
import { createMaterializer } from './service.ts';

const config = readMaterializerConfig(process.env);
const logReader = await openEmbeddedReader({ dir: config.logDir });
const headers: Record<string, string> =
  config.token === undefined ? {} : { authorization: `Bearer ${config.token}` };
const invoker = createHttpInvoker(serviceUrls(config), headers);
const service = await createMaterializer(config, { logReader, invoker });
await service.start();
stopOnSignals(
  {
    drain: () => service.drain(),
    async stop() {
      await service.stop();
      await logReader.close();
    },
  },
  { drainTimeoutMs: config.drainTimeoutMs + 5_000 },
);
