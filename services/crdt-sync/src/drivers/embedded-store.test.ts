import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe } from 'node:test';
import { storeContract } from './contract.ts';
import { EmbeddedStore } from './embedded-store.ts';

describe('embedded store', () => {
  storeContract(async () => {
    const dir = await mkdtemp(path.join(tmpdir(), 'memplane-crdt-'));
    return {
      open: (op_ids_per_counter_max) => EmbeddedStore.open({ dir, op_ids_per_counter_max }),
      cleanUp: () => rm(dir, { recursive: true }),
    };
  });
});
