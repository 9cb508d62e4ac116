import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe } from 'node:test';
import { EmbeddedMembership } from './embedded-membership.ts';
import { EmbeddedStore } from './embedded-store.ts';
import { membershipKey } from './keys.ts';
import { membershipContract } from './membership-contract.ts';

describe('embedded membership', () => {
  membershipContract(async () => {
    const dir = await mkdtemp(path.join(tmpdir(), 'memplane-crdt-'));
    let store: EmbeddedStore | undefined;
    return {
      open: async () => {
        await store?.close();
        store = await EmbeddedStore.open({ dir });
        return new EmbeddedMembership(store);
      },
      damage: async (record) => store?.saveOwnRecord(membershipKey(), record),
      cleanUp: async () => {
        await store?.close();
        await rm(dir, { recursive: true });
      },
    };
  });
});
