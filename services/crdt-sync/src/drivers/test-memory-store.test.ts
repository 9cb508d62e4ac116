import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { setDeltaLattice } from '@memplane/crdt';
import { storeContract } from './contract.ts';
import { MemoryStore } from './test-memory-store.ts';

describe('memory store', () => {
  storeContract(async () => {
    const stores = new Map<number, MemoryStore>();
    return {
      open: async (opIdsMax) => {
        const store = stores.get(opIdsMax) ?? new MemoryStore(opIdsMax);
        stores.set(opIdsMax, store);
        return store;
      },
      damageSet: async (store, ref) => {
        const [loaded] = await store.load([ref]);
        assert.ok(loaded?.set);
        const header = { ...loaded.set, elementsDigest: 1n };
        const change = { type: 'set', ref, delta: setDeltaLattice.bottom(), header } as const;
        const changes = [{ ...change, cleared: false, touched: new Map() }];
        const incarnation = 'd'.repeat(32);
        await store.commit({ incarnation, number: 1, hlc: 1n, changes, known: new Map() });
      },
      cleanUp: async () => {},
    };
  });
});
