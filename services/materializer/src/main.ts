import { stopOnSignals } from '@memplane/runtime';
import { readMaterializerConfig } from './config.ts';
import { openDistributed } from './distributed.ts';

const config = readMaterializerConfig(process.env);
const { service, close } = await openDistributed(config, process.env);
await service.start();
stopOnSignals(
  {
    drain: () => service.drain(),
    async stop() {
      await service.stop();
      await close();
    },
  },
  { drainTimeoutMs: config.drainTimeoutMs + 5_000 },
);
