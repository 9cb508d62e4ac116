export * from './config.ts';
export {
  createMaterializer,
  type Materializer,
  type MaterializerContext,
  VERSION,
} from './service.ts';
