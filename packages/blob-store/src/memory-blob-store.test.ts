import { blobStoreContract } from './contract.ts';
import { MemoryBlobStore } from './memory-blob-store.ts';

const BOUNDS = { blobBytesMax: 1024 ** 2, getBytesMax: 256 * 1024 };

blobStoreContract('memory', async () => new MemoryBlobStore(BOUNDS));
