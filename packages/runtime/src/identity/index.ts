export * from './access.ts';
export * from './file-changes.ts';
export * from './identity.ts';
export * from './settings.ts';
