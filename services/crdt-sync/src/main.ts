import path from 'node:path';
import { stopOnSignals } from '@memplane/runtime';
import { readCrdtSyncConfig } from './config.ts';
import { createCrdtSync } from './service.ts';

const config = readCrdtSyncConfig(process.env);
if (!config.dataDir) throw new Error('MEMPLANE_DATA_DIR must name the folder of the data');
const service = await createCrdtSync(config, { dir: path.join(config.dataDir, 'crdt') });
await service.start();
stopOnSignals(service, { drainTimeoutMs: config.drainTimeoutMs + 5_000 });
