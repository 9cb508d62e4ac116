export * from './api/liveness.ts';
export * from './errors.ts';
export * from './event.ts';
export * from './limits.ts';
export * from './names.ts';
export * from './operation.ts';
export * from './position.ts';
export * from './token.ts';
