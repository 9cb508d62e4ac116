export * from './config.ts';
export { type CrdtSync, type CrdtSyncContext, createCrdtSync } from './service.ts';
