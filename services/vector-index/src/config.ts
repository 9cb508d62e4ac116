import { LIMITS, SERVICES } from '@memplane/contracts';
import {
  ADMISSION_SETTINGS,
  APP_TOKEN_SETTING,
  type Config,
  ConfigError,
  type Env,
  IDENTITY_SETTINGS,
  integer,
  readConfig,
  text,
} from '@memplane/runtime';

const MIB = 1024 * 1024;

/** Every setting of vector-index: name in the environment, default, meaning, unit. */
export const VECTOR_INDEX_SETTINGS = {
  host: text('MEMPLANE_HOST', '127.0.0.1', 'address to listen on'),
  port: integer('MEMPLANE_VECTOR_INDEX_PORT', SERVICES['vector-index'].port, 'port', {
    max: 65_535,
  }),
  token: text('MEMPLANE_TOKEN', undefined, 'bearer token that every call needs'),
  appToken: APP_TOKEN_SETTING,
  ...IDENTITY_SETTINGS,
  ...ADMISSION_SETTINGS,
  logLevel: text('MEMPLANE_LOG_LEVEL', 'info', 'level of the log'),
  otlpEndpoint: text('OTEL_EXPORTER_OTLP_ENDPOINT', undefined, 'where spans are sent'),
  dir: text('MEMPLANE_VECTOR_INDEX_DIR', './data/vectors', 'folder of the index'),
  materializerUrl: text(
    'MEMPLANE_MATERIALIZER_URL',
    `http://127.0.0.1:${SERVICES.materializer.port}`,
    'where the materializer answers',
  ),
  dimensions: integer(
    'MEMPLANE_EMBEDDING_DIMENSIONS',
    LIMITS.vector_dimensions_default,
    'dimensions of the collection',
    { min: 1, max: LIMITS.vector_dimensions_max },
  ),
  feedWaitMs: integer('MEMPLANE_FEED_WAIT_MS', 20_000, 'how long a feed stays open at its end', {
    min: 10,
    max: LIMITS.wait_ms_max,
    unit: 'ms',
  }),
  // Sidecars of Dapr 1.18 pass on at once what comes; older ones may keep the end of a line back.
  // Far beyond what a feed takes: to read anew costs two sidecars, and what is on its way, a turn.
  feedNudgeMs: integer(
    'MEMPLANE_FEED_NUDGE_MS',
    250,
    'beside a sidecar: how long the open feed may take to bring what is waited for',
    { min: 1, unit: 'ms' },
  ),
  deliveryWaitMs: integer(
    'MEMPLANE_DELIVERY_WAIT_MS',
    20_000,
    'longest that a delivered event waits to be applied before it is asked for again',
    { min: 10, unit: 'ms' },
  ),
  feedRetryMsMax: integer('MEMPLANE_FEED_RETRY_MS_MAX', 2_000, 'longest pause after a failure', {
    min: 10,
    unit: 'ms',
  }),
  applyIntervalMs: integer(
    'MEMPLANE_INDEX_APPLY_INTERVAL_MS',
    10,
    'from one transaction to the next, so that partitions share them; what comes alone does not wait',
    { unit: 'ms' },
  ),
  commitIntervalMs: integer(
    'MEMPLANE_INDEX_COMMIT_INTERVAL_MS',
    100,
    'from what is applied, and seen, to the commit after which a restart has it without the log',
    { unit: 'ms' },
  ),
  apply_lines_full: integer(
    'MEMPLANE_INDEX_APPLY_LINES_FULL',
    256,
    'events that do not wait for others to share their transaction',
    { min: 1 },
  ),
  feed_batch_lines_max: integer(
    'MEMPLANE_FEED_BATCH_LINES_MAX',
    512,
    'records that are applied as one',
    { min: 1 },
  ),
  viewCheckTimeoutMs: integer('MEMPLANE_VIEW_CHECK_TIMEOUT_MS', 10_000, 'longest view check', {
    min: 1,
    unit: 'ms',
  }),
  indexRetireMs: integer(
    'MEMPLANE_INDEX_RETIRE_MS',
    40_000,
    'how long an index that was replaced is kept for the searches that still use it',
    { min: 1, max: 600_000, unit: 'ms' },
  ),
  waiting_reads_max: integer(
    'MEMPLANE_WAITING_SEARCHES_MAX',
    1_024,
    'searches that may wait for a position at once',
    { min: 1 },
  ),
  database_cache_bytes_max: integer(
    'MEMPLANE_VECTOR_INDEX_CACHE_BYTES_MAX',
    32 * MIB,
    'page cache of the rows and texts',
    { min: MIB, unit: 'bytes' },
  ),
  filter_cache_bytes_max: integer(
    'MEMPLANE_FILTER_CACHE_BYTES_MAX',
    16 * MIB,
    'bitmaps of filters kept',
    { min: 1024, unit: 'bytes' },
  ),
  index_rebuilds_max: integer(
    'MEMPLANE_INDEX_REBUILDS_MAX',
    3,
    'times that an index found damaged is built anew from the log before the next start',
  ),
  index_ended_rows_max: integer(
    'MEMPLANE_INDEX_ENDED_ROWS_MAX',
    10_000,
    'rows whose history is gone after which, if they are a quarter of all, the index is built anew without them',
    { min: 1 },
  ),
  historyCheckMs: integer(
    'MEMPLANE_INDEX_HISTORY_CHECK_MS',
    60_000,
    'how often the views are asked where their history begins',
    { min: 10, unit: 'ms' },
  ),
  milvusAddress: text(
    'MEMPLANE_MILVUS_ADDRESS',
    undefined,
    'host:port of Milvus, which then indexes the vectors; else all of the index is embedded',
  ),
  milvusToken: text('MEMPLANE_MILVUS_TOKEN', undefined, 'user:password of Milvus'),
  milvusCollection: text(
    'MEMPLANE_MILVUS_COLLECTION',
    'agent_memory',
    'alias of the live collection, and the beginning of the names of all',
  ),
  instance: text('MEMPLANE_INSTANCE', 'vector-index', 'name of this instance among its like'),
  milvusCallTimeoutMs: integer('MEMPLANE_MILVUS_CALL_TIMEOUT_MS', 10_000, 'longest call', {
    min: 100,
    unit: 'ms',
  }),
  milvusSearchTimeoutMs: integer('MEMPLANE_MILVUS_SEARCH_TIMEOUT_MS', 2_000, 'longest search', {
    min: 10,
    unit: 'ms',
  }),
  milvusHedgeDelayMs: integer(
    'MEMPLANE_MILVUS_HEDGE_DELAY_MS',
    20,
    'least time, and at least twice what is usual, after which Milvus is late: then all rows that match are scored, if MEMPLANE_EXACT_CACHE_BYTES_MAX holds so many vectors',
    { min: 1, unit: 'ms' },
  ),
  milvusLoadTimeoutMs: integer(
    'MEMPLANE_MILVUS_LOAD_TIMEOUT_MS',
    60_000,
    'longest loading of a collection, and longest flush',
    { min: 1_000, unit: 'ms' },
  ),
  milvus_partitions: integer(
    'MEMPLANE_MILVUS_PARTITIONS',
    1,
    'partitions of a new collection, by the key of the entity',
    { min: 1, max: 1_024 },
  ),
  ivf_lists: integer('MEMPLANE_MILVUS_IVF_LISTS', 128, 'lists of a new IVF_PQ index', {
    min: 1,
    max: 65_536,
  }),
  ivf_probes: integer('MEMPLANE_MILVUS_IVF_PROBES', 24, 'lists that a search looks into', {
    min: 1,
    max: 65_536,
  }),
  exact_rows_max: integer(
    'MEMPLANE_EXACT_ROWS_MAX',
    4_096,
    'where no more rows match a search, each is scored and Milvus is not asked',
    { min: 0 },
  ),
  exact_cache_bytes_max: integer(
    'MEMPLANE_EXACT_CACHE_BYTES_MAX',
    32 * MIB,
    'beside Milvus: memory for exact vectors that were read last',
    { min: 0, unit: 'bytes' },
  ),
  fallback_rows_max: integer(
    'MEMPLANE_FALLBACK_ROWS_MAX',
    131_072,
    'where no more rows match, each is scored when Milvus does not answer or finds too few',
    { min: 0 },
  ),
  unsettled_rows_max: integer(
    'MEMPLANE_UNSETTLED_ROWS_MAX',
    8_192,
    'vectors not stored in Milvus for certain, which searches look at one by one',
    { min: 1 },
  ),
  flush_rows_max: integer('MEMPLANE_MILVUS_FLUSH_ROWS_MAX', 4_096, 'rows written before a flush', {
    min: 1,
  }),
  flushIntervalMs: integer(
    'MEMPLANE_MILVUS_FLUSH_INTERVAL_MS',
    10_000,
    'longest that a written row waits for its flush',
    { min: 10, unit: 'ms' },
  ),
  takeoverMs: integer(
    'MEMPLANE_MILVUS_TAKEOVER_MS',
    30_000,
    'how long vectors wait for the instance that got their events, before any stores them',
    { min: 0, unit: 'ms' },
  ),
  embedderUrl: text(
    'MEMPLANE_EMBEDDER_URL',
    undefined,
    'OpenAI-compatible endpoint that makes vectors of texts, up to /v1; none by default',
  ),
  embedderOnnxDir: text(
    'MEMPLANE_EMBEDDER_ONNX_DIR',
    undefined,
    'folder of a sentence model in ONNX (model.onnx, tokenizer.json) that makes vectors of texts',
  ),
  embedderModel: text(
    'MEMPLANE_EMBEDDER_MODEL',
    undefined,
    'model that the endpoint is asked for, or the name of the one in the folder',
  ),
  embedderKey: text('MEMPLANE_EMBEDDER_KEY', undefined, 'bearer key of the endpoint'),
  computedDir: text(
    'MEMPLANE_COMPUTED_VECTORS_DIR',
    undefined,
    'folder of computed vectors; by default beside the index',
  ),
  embedTimeoutMs: integer('MEMPLANE_EMBED_TIMEOUT_MS', 10_000, 'longest attempt to embed', {
    min: 1,
    unit: 'ms',
  }),
  embed_attempts_max: integer('MEMPLANE_EMBED_ATTEMPTS_MAX', 3, 'attempts at one batch of texts', {
    min: 1,
  }),
  embedRetryMsMax: integer('MEMPLANE_EMBED_RETRY_MS_MAX', 30_000, 'longest pause after failures', {
    min: 1,
    unit: 'ms',
  }),
  embed_batch_texts_max: integer('MEMPLANE_EMBED_BATCH_TEXTS_MAX', 64, 'texts of one batch', {
    min: 1,
  }),
  embed_tokens_max: integer('MEMPLANE_EMBED_TOKENS_MAX', 512, 'tokens of a text that count', {
    min: 2,
    max: 131_072,
  }),
  query_vectors_max: integer('MEMPLANE_QUERY_VECTORS_MAX', 1_024, 'vectors of questions kept', {
    min: 1,
  }),
  inflight_requests_max: integer('MEMPLANE_INFLIGHT_REQUESTS_MAX', 1_024, 'requests under way', {
    min: 1,
  }),
  connections_max: integer('MEMPLANE_CONNECTIONS_MAX', 2_048, 'connections', { min: 1 }),
  drainTimeoutMs: integer('MEMPLANE_DRAIN_TIMEOUT_MS', 10_000, 'longest drain', { unit: 'ms' }),
} as const;

export type VectorIndexConfig = Config<typeof VECTOR_INDEX_SETTINGS>;

/** @throws ConfigError that names every wrong setting */
export function readVectorIndexConfig(env: Env): VectorIndexConfig {
  const config = readConfig(VECTOR_INDEX_SETTINGS, env);
  if (config.embedderUrl && !config.embedderModel) {
    throw new ConfigError('wrong settings:\n  MEMPLANE_EMBEDDER_URL needs MEMPLANE_EMBEDDER_MODEL');
  }
  if (config.embedderUrl && config.embedderOnnxDir) {
    throw new ConfigError(
      'wrong settings:\n  MEMPLANE_EMBEDDER_URL and MEMPLANE_EMBEDDER_ONNX_DIR: one of them only',
    );
  }
  return config;
}
