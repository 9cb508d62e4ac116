import { after } from 'node:test';
import { blobStoreContract } from '../contract.ts';
import { S3BlobStore } from './index.ts';
import { S3Server } from './testing.ts';

const server = await S3Server.start();
const opened: S3BlobStore[] = [];

after(async () => {
  for (const store of opened) store.close();
  await server.stop();
});

for (const [name, options] of Object.entries({
  S3: {},
  'S3, listed in small pages': { list_names_max: 2 },
})) {
  blobStoreContract(name, async () => {
    const store = await S3BlobStore.open({
      ...(await server.makeBucket()),
      blobBytesMax: 1024 ** 2,
      getBytesMax: 256 * 1024,
      ...options,
    });
    opened.push(store);
    return store;
  });
}
