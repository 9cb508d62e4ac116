export * from './config.ts';
export { createEventIngest, type EventIngest, type IngestContext, VERSION } from './service.ts';
