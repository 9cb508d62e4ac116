export * from './config.ts';
export { createEventIngest, type EventIngest, type IngestContext } from './service.ts';
