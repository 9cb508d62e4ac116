export * from './codec.ts';
export * from './context.ts';
export * from './counter.ts';
export * from './dot.ts';
export * from './log-parts.ts';
export * from './lww-register.ts';
export * from './op-memory.ts';
export * from './or-set.ts';
