export type { StrongStore } from '@memplane/runtime/strong';
export * from './config.ts';
export { RocksStrong } from './drivers/rocks-strong.ts';
export { createEventIngest, type EventIngest, type IngestContext } from './service.ts';
