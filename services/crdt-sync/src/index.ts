export * from './config.ts';
export { createCrdtSync } from './folder-replica.ts';
export type { CrdtSync, CrdtSyncContext } from './service.ts';
