export * from './errors.ts';
export type { RocksEntry, ScanBounds } from './iterator.ts';
export * from './keys.ts';
export type { RocksOptions } from './options.ts';
export { probeFolder, reopenStore } from './reopen.ts';
export type { RocksSnapshot } from './snapshot.ts';
export * from './store.ts';
export type { WriteBatch } from './write-batch.ts';
