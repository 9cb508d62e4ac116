export * from './hlc.ts';
export * from './hybrid-clock.ts';
