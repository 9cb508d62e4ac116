import assert from 'node:assert/strict';
import { describe } from 'node:test';
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
      damageSet: async (damaged, ref) => {
        assert.ok(damaged instanceof MemoryStore);
        damaged.damage('set', ref);
      },
      cleanUp: async () => {},
    };
  });
});
