export * from './config.ts';
export {
  createVectorIndex,
  VERSION,
  type VectorIndex,
  type VectorIndexContext,
} from './service.ts';
