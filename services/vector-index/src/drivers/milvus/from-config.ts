import type { Logger } from '@memplane/runtime';
import type { VectorIndexConfig } from '../../config.ts';
import type { VectorsElsewhereFactory } from '../vectors-elsewhere.ts';
import { MilvusVectors } from './milvus-vectors.ts';

/** @throws Error without an address */
export function milvusVectors(config: VectorIndexConfig, logger: Logger): VectorsElsewhereFactory {
  const address = config.milvusAddress;
  if (address === undefined) throw new Error('no address of Milvus');
  return (shape) =>
    new MilvusVectors(shape, {
      ...config,
      logger,
      address,
      token: config.milvusToken,
      alias: config.milvusCollection,
      callTimeoutMs: config.milvusCallTimeoutMs,
      searchTimeoutMs: config.milvusSearchTimeoutMs,
      loadTimeoutMs: config.milvusLoadTimeoutMs,
      hedgeDelayMs: config.milvusHedgeDelayMs,
      direct_rows_max: config.exact_rows_max,
      rerank_rows_min: 64,
      search_rows_max: 16_384,
      write_rows_max: 500,
      retryMsMax: 5_000,
      positionsPollMs: 1_000,
    });
}
