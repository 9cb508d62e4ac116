export * from './config.ts';
export { type CrdtSync, type CrdtSyncContext, createCrdtSync, VERSION } from './service.ts';
