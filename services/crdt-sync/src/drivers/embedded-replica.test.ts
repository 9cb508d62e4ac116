import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { ScratchFolder } from '@memplane/testkit';
import { TestReplica } from '../domain/test-replica.ts';
import { EmbeddedStore } from './embedded-store.ts';
import { valueKey } from './keys.ts';
import { replicaContract } from './replica-contract.ts';

describe('a replica in a folder', () => {
  replicaContract(async () => {
    const folder = new ScratchFolder('embedded-replica');
    let store: EmbeddedStore | undefined;
    const open = async () => {
      await store?.close();
      store = await EmbeddedStore.open({ dir: folder.path });
      return store;
    };
    return {
      start: async (options) => TestReplica.start({ ...options, store: await open() }),
      damage: async (type, ref) => {
        const opened = store ?? (await open());
        const record = await opened.loadOwnRecord(valueKey(type, ref));
        assert.ok(record);
        record.writeUInt8(record.readUInt8(record.length - 1) ^ 1, record.length - 1);
        await opened.saveOwnRecord(valueKey(type, ref), record);
      },
      cleanUp: async () => {
        await store?.close();
        folder[Symbol.dispose]();
      },
    };
  });
});
