export * from './audit-through.ts';
export * from './audit-trail.ts';
export * from './call-record.ts';
export * from './settings.ts';
