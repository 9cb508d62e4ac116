import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { storeContract } from './contract.ts';
import { MemoryStore } from './test-memory-store.ts';

describe('memory store', () => {
  storeContract(async () => {
    const store = new MemoryStore();
    return {
      open: async () => store,
      damageSet: async (damaged, ref) => {
        assert.ok(damaged instanceof MemoryStore);
        damaged.damage('set', ref);
      },
      cleanUp: async () => {},
    };
  });
});
