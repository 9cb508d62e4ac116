export * from './config.ts';
export type { StrongStore } from './domain/strong/store.ts';
export { RocksStrong } from './drivers/rocks-strong.ts';
export { createEventIngest, type EventIngest, type IngestContext } from './service.ts';
