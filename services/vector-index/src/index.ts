export * from './config.ts';
export {
  createVectorIndex,
  type VectorIndex,
  type VectorIndexContext,
} from './service.ts';
