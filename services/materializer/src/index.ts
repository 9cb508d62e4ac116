export * from './config.ts';
export {
  createMaterializer,
  type Materializer,
  type MaterializerContext,
} from './service.ts';
