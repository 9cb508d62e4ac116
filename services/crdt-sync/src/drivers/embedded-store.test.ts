import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe } from 'node:test';
import { setDeltaLattice } from '@memplane/crdt';
import { storeContract } from './contract.ts';
import { EmbeddedStore } from './embedded-store.ts';

describe('embedded store', () => {
  storeContract(async () => {
    const dir = await mkdtemp(path.join(tmpdir(), 'memplane-crdt-'));
    return {
      open: () => EmbeddedStore.open({ dir }),
      damageSet: async (store, ref) => {
        const [loaded] = await store.load([ref]);
        assert.ok(loaded?.set);
        const header = { ...loaded.set, elementsDigest: 1n };
        const change = { type: 'set', ref, delta: setDeltaLattice.bottom(), header } as const;
        const changes = [{ ...change, cleared: false, touched: new Map() }];
        const incarnation = 'd'.repeat(32);
        await store.commit({ incarnation, number: 1, hlc: 1n, changes, known: new Map() });
      },
      cleanUp: () => rm(dir, { recursive: true }),
    };
  });
});
