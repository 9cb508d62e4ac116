export * from './ast.ts';
export * from './compile.ts';
export * from './parse.ts';
export * from './plan.ts';
export * from './schema.ts';
