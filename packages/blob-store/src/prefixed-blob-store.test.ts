import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blobStoreContract } from './contract.ts';
import { MemoryBlobStore } from './memory-blob-store.ts';
import { PrefixedBlobStore } from './prefixed-blob-store.ts';

const BOUNDS = { blobBytesMax: 1024 ** 2, getBytesMax: 256 * 1024 };

blobStoreContract('prefixed', async () => {
  const store = new MemoryBlobStore(BOUNDS);
  for (const name of ['a', 'backups', 'backups/a', 'z/a']) await store.put(name, Buffer.from('x'));
  return new PrefixedBlobStore(store, 'backups/today/');
});

test('two prefixes of one store see nothing of each other', async () => {
  const store = new MemoryBlobStore(BOUNDS);
  const [one, two] = ['one/', 'two/'].map((prefix) => new PrefixedBlobStore(store, prefix));
  await one?.put('part', Buffer.from('1'));
  assert.equal(await two?.head('part'), undefined);
  assert.equal(String(await store.get('one/part')), '1');
});
