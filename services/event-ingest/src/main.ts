import path from 'node:path';
import { openEmbeddedLog } from '@memplane/event-log';
import { stopOnSignals } from '@memplane/runtime';
import { readIngestConfig } from './config.ts';
import { createEventIngest } from './service.ts';

const dataDir = process.env['MEMPLANE_DATA_DIR'];
if (!dataDir) throw new Error('MEMPLANE_DATA_DIR must name the folder of the log');
const config = readIngestConfig(process.env);
const log = await openEmbeddedLog({
  dir: path.join(dataDir, 'log'),
  produceDeadlineMs: config.produceDeadlineMs,
});
const service = await createEventIngest(config, { logWriter: log.writer });
await service.start();
stopOnSignals(
  {
    drain: () => service.drain(),
    async stop() {
      await service.stop();
      await log.writer.close();
    },
  },
  { drainTimeoutMs: config.drainTimeoutMs + 5_000 },
);
