import { SERVICES, type ServiceName, TOPICS } from '@memplane/contracts';
import {
  ADMISSION_SETTINGS,
  APP_TOKEN_SETTING,
  type Config,
  ConfigError,
  type Env,
  flag,
  IDENTITY_SETTINGS,
  integer,
  readConfig,
  text,
} from '@memplane/runtime';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Every setting of the materializer: name in the environment, default, meaning, unit. */
export const MATERIALIZER_SETTINGS = {
  host: text('MEMPLANE_HOST', '127.0.0.1', 'address to listen on'),
  port: integer('MEMPLANE_MATERIALIZER_PORT', SERVICES.materializer.port, 'port', { max: 65_535 }),
  token: text('MEMPLANE_TOKEN', undefined, 'bearer token that every call needs'),
  appToken: APP_TOKEN_SETTING,
  ...IDENTITY_SETTINGS,
  ...ADMISSION_SETTINGS,
  logLevel: text('MEMPLANE_LOG_LEVEL', 'info', 'level of the log'),
  otlpEndpoint: text('OTEL_EXPORTER_OTLP_ENDPOINT', undefined, 'where spans are sent'),
  dir: text('MEMPLANE_MATERIALIZER_DIR', './data/materializer', 'folder of the views'),
  logDir: text('MEMPLANE_LOG_DIR', './data/log', 'folder of the embedded log'),
  owner: text('MEMPLANE_INSTANCE', 'standalone', 'how this instance is called among the owners'),
  crdtSyncUrl: text(
    'MEMPLANE_CRDT_SYNC_URL',
    `http://127.0.0.1:${SERVICES['crdt-sync'].port}`,
    'where crdt-sync answers',
  ),

  kafkaBrokers: text(
    'MEMPLANE_KAFKA_BROKERS',
    undefined,
    'brokers of the log, host:port with commas between; without it the embedded log is read',
  ),
  kafkaTopic: text('MEMPLANE_KAFKA_TOPIC', TOPICS.events, 'topic of the log'),
  partitions: integer('MEMPLANE_PARTITIONS', 12, 'partitions that the log on Kafka began with', {
    min: 1,
    max: 4096,
  }),
  consumerGroup: text(
    'MEMPLANE_MATERIALIZER_GROUP',
    'materializer',
    'consumer group whose members share the partitions out',
  ),
  revokeTimeoutMs: integer(
    'MEMPLANE_REVOKE_TIMEOUT_MS',
    10_000,
    'how long an instance may take to let go of a partition before the group takes it',
    { min: 100, unit: 'ms' },
  ),
  offsetCommitIntervalMs: integer(
    'MEMPLANE_OFFSET_COMMIT_INTERVAL_MS',
    5_000,
    'how often applied offsets are shown to the group; nothing depends on them',
    { min: 100, unit: 'ms' },
  ),
  positionIntervalMs: integer(
    'MEMPLANE_POSITION_INTERVAL_MS',
    1_000,
    'how often the other instances are asked how far they are, for the tokens of latest reads',
    { min: 10, unit: 'ms' },
  ),
  peerPort: integer('MEMPLANE_MATERIALIZER_PEER_PORT', 7112, 'port for the other instances', {
    max: 65_535,
  }),
  peerUrl: text(
    'MEMPLANE_MATERIALIZER_PEER_URL',
    undefined,
    'where the other instances reach that port; default: http://HOST:PORT',
  ),
  peerToken: text(
    'MEMPLANE_PEER_TOKEN',
    undefined,
    "what the instances prove themselves by to each other; default: the sidecar's token, or the bearer token",
  ),
  peer_requests_max: integer(
    'MEMPLANE_PEER_REQUESTS_MAX',
    1_024,
    'requests of other instances under way; apart from all others, so that two can not block each other',
    { min: 1 },
  ),
  blobDir: text(
    'MEMPLANE_BLOB_DIR',
    undefined,
    'folder of the archive, shared by all instances; without it there is no archive',
  ),

  apply_batch_records_max: integer('MEMPLANE_APPLY_BATCH_RECORDS_MAX', 512, 'records of a batch', {
    min: 1,
    max: 16_384,
  }),
  apply_batch_bytes_max: integer(
    'MEMPLANE_APPLY_BATCH_BYTES_MAX',
    MIB,
    'bytes of events in a batch; one larger event still fits',
    { min: KIB, unit: 'bytes' },
  ),
  apply_batches_at_once_max: integer(
    'MEMPLANE_APPLY_BATCHES_AT_ONCE_MAX',
    3,
    'batches of different shards that are applied at once',
    { min: 1, max: 64 },
  ),
  entity_cache_bytes_max: integer(
    'MEMPLANE_ENTITY_CACHE_BYTES_MAX',
    16 * MIB,
    'memory for the entities that were changed last, over all shards; estimated',
    { min: 0, unit: 'bytes' },
  ),
  history_cache_bytes_max: integer(
    'MEMPLANE_HISTORY_CACHE_BYTES_MAX',
    16 * MIB,
    'memory for the histories that were last read at a point of the past, over all shards; estimated',
    { min: 0, unit: 'bytes' },
  ),
  key_filter_bytes: integer(
    'MEMPLANE_KEY_FILTER_BYTES',
    8 * MIB,
    'memory for filters that tell which rows need not be looked for, over all shards; 12 bits a row make 1 % of needless look-ups',
    { min: 0, unit: 'bytes' },
  ),
  keyLearnDelayMs: integer(
    'MEMPLANE_KEY_LEARN_DELAY_MS',
    15_000,
    'how long after a start those filters begin to learn what is in the store',
    { unit: 'ms' },
  ),
  applyRestMs: integer(
    'MEMPLANE_APPLY_REST_MS',
    40,
    'least time from one batch of a shard to its next while batches are many, so that few large ones take their place; a read that waits for the shard, or a backlog, ends it',
    { min: 0, max: 1_000, unit: 'ms' },
  ),
  applyRetryMsMax: integer(
    'MEMPLANE_APPLY_RETRY_MS_MAX',
    2_000,
    'longest pause between two attempts while the storage refuses writes',
    { min: 10, unit: 'ms' },
  ),
  snapshot_bytes_min: integer(
    'MEMPLANE_SNAPSHOT_BYTES_MIN',
    4 * KIB,
    'bytes of events after which the state of an entity is stored, if it is not larger itself; where it has memories, eight times as many, or three times its own size',
    { min: KIB, unit: 'bytes' },
  ),
  time_cut_settle_ms: integer(
    'MEMPLANE_TIME_CUT_SETTLE_MS',
    1_000,
    'how long after a time no earlier stamp can come any more: largest drift and produce deadline',
    { unit: 'ms' },
  ),
  sessionOpenTypes: text(
    'MEMPLANE_SESSION_OPEN_TYPES',
    'SessionStarted',
    'event types that open a session, with commas between',
  ),
  sessionCloseTypes: text(
    'MEMPLANE_SESSION_CLOSE_TYPES',
    'SessionEnded',
    'event types that close a session, with commas between',
  ),
  counterPublishIntervalMs: integer(
    'MEMPLANE_COUNTER_PUBLISH_INTERVAL_MS',
    1_000,
    'how often derived counters that keep changing are sent to crdt-sync; after a rest they are sent at once',
    { min: 1, unit: 'ms' },
  ),
  counterPublishTimeoutMs: integer(
    'MEMPLANE_COUNTER_PUBLISH_TIMEOUT_MS',
    2_000,
    'longest that one such call may take',
    { min: 1, unit: 'ms' },
  ),
  keyCacheMs: integer(
    'MEMPLANE_KEY_CACHE_MS',
    2_000,
    'how long the key of a sealed entity is kept in memory, and so readable after its erasure',
    { max: 5_000, unit: 'ms' },
  ),
  keys_cached_max: integer(
    'MEMPLANE_VIEW_KEYS_CACHED_MAX',
    20_000,
    'keys of sealed entities that are kept in memory; about 500 bytes each',
    { min: 1, max: 10_000_000 },
  ),
  keyTimeoutMs: integer(
    'MEMPLANE_KEY_TIMEOUT_MS',
    5_000,
    'how long event-ingest is waited for when keys are asked of it',
    { min: 1, unit: 'ms' },
  ),
  counterPublishing: flag('MEMPLANE_COUNTER_PUBLISHING', true, 'send derived counters'),
  waiting_reads_max: integer(
    'MEMPLANE_WAITING_READS_MAX',
    4_096,
    'reads that may wait for a position at once',
    { min: 1 },
  ),
  query_scan_rows_max: integer(
    'MEMPLANE_QUERY_SCAN_ROWS_MAX',
    20_000,
    'rows that one page of a query looks at; a page that ends here has a cursor',
    { min: 1 },
  ),
  feed_records_max: integer(
    'MEMPLANE_FEED_RECORDS_MAX',
    100_000,
    'records of one answer of a feed; the reader goes on where it ended',
    { min: 1 },
  ),
  feed_bytes_max: integer(
    'MEMPLANE_FEED_BYTES_MAX',
    64 * MIB,
    'bytes of one answer of a feed; it ends with the first record beyond',
    { min: KIB, unit: 'bytes' },
  ),
  feed_chunk_bytes: integer(
    'MEMPLANE_FEED_CHUNK_BYTES',
    256 * KIB,
    'bytes that a feed reads, and holds in memory, at once',
    { min: KIB, max: 16 * MIB, unit: 'bytes' },
  ),
  feedWaitMs: integer(
    'MEMPLANE_FEED_WAIT_MS',
    25_000,
    'how long server-sent events stay open at the end of the feed, unless the reader says',
    { unit: 'ms' },
  ),
  feedKeepAliveMs: integer(
    'MEMPLANE_FEED_KEEP_ALIVE_MS',
    10_000,
    'how often a silent stream of server-sent events shows that it lives',
    { min: 10, unit: 'ms' },
  ),
  replays_running_max: integer('MEMPLANE_REPLAYS_RUNNING_MAX', 1, 'replays that run at once', {
    min: 1,
    max: 64,
  }),
  replays_waiting_max: integer('MEMPLANE_REPLAYS_WAITING_MAX', 16, 'replays that wait their turn'),
  replays_kept_max: integer(
    'MEMPLANE_REPLAYS_KEPT_MAX',
    32,
    'replays of a tenant that have ended and can still be asked for',
    { min: 1 },
  ),
  replayDurationMsMax: integer(
    'MEMPLANE_REPLAY_DURATION_MS_MAX',
    10 * 60_000,
    'longest that a replay may take; it is broken off then',
    { min: 1, unit: 'ms' },
  ),
  replayWaitMs: integer(
    'MEMPLANE_REPLAY_WAIT_MS',
    250,
    'how long the first answer waits for a short replay to end',
    { unit: 'ms' },
  ),
  replay_events_max: integer(
    'MEMPLANE_REPLAY_EVENTS_MAX',
    10_000_000,
    'events that one replay may read',
    { min: 1 },
  ),
  replay_result_entities_max: integer(
    'MEMPLANE_REPLAY_RESULT_ENTITIES_MAX',
    1_000,
    'entities that an answer shows, of the result and of the difference each',
    { min: 1 },
  ),
  replay_result_bytes_max: integer(
    'MEMPLANE_REPLAY_RESULT_BYTES_MAX',
    MIB,
    'bytes of JSON that an answer shows, of the result and of the difference each',
    { min: KIB, unit: 'bytes' },
  ),
  trace_nodes_max: integer('MEMPLANE_TRACE_NODES_MAX', 256, 'events of one trace', { min: 1 }),
  write_buffer_bytes: integer(
    'MEMPLANE_MATERIALIZER_WRITE_BUFFER_BYTES',
    32 * MIB,
    'memory that gathers writes before they become a file; two such exist',
    { min: MIB, unit: 'bytes' },
  ),
  archive_segment_bytes: integer(
    'MEMPLANE_ARCHIVE_SEGMENT_BYTES',
    4 * MIB,
    'bytes of events of a segment of the archive, before compression',
    { min: KIB, max: 128 * MIB, unit: 'bytes' },
  ),
  archiveIntervalMs: integer(
    'MEMPLANE_ARCHIVE_INTERVAL_MS',
    60_000,
    'how long less than a segment waits to be archived',
    { unit: 'ms' },
  ),
  archiveTickMs: integer(
    'MEMPLANE_ARCHIVE_TICK_MS',
    1_000,
    'how often the archiver looks for what to do',
    { min: 1, unit: 'ms' },
  ),
  logRetentionMs: integer(
    'MEMPLANE_LOG_RETENTION_MS',
    7 * 24 * 60 * 60_000,
    'how long events stay in the log; then only where archive and snapshots cover them',
    { unit: 'ms' },
  ),
  historyRetentionMs: integer(
    'MEMPLANE_HISTORY_RETENTION_MS',
    0,
    'how long history stays readable, by the stamps of its partition; 0: for ever',
    { max: 100 * 365 * 24 * 60 * 60_000, unit: 'ms' },
  ),
  erasureTickMs: integer(
    'MEMPLANE_ERASURE_TICK_MS',
    500,
    'how often the views look for erasures whose rows and files are to be cleared',
    { min: 10, max: 60_000, unit: 'ms' },
  ),
  erasureTopicTickMs: integer(
    'MEMPLANE_ERASURE_TOPIC_TICK_MS',
    20_000,
    'how often memory-views is looked through for what erasures have to make go from it, once it may be gone',
    { min: 100, max: 10 * 60_000, unit: 'ms' },
  ),
  historyPruneTickMs: integer(
    'MEMPLANE_HISTORY_PRUNE_TICK_MS',
    1_000,
    'how often it is looked for history that is too old',
    { min: 1, unit: 'ms' },
  ),
  history_prune_rows_max: integer(
    'MEMPLANE_HISTORY_PRUNE_ROWS_MAX',
    256,
    'rows that one step of removing old history takes; between steps it rests',
    { min: 1, max: 16_384 },
  ),
  history_prune_bytes_max: integer(
    'MEMPLANE_HISTORY_PRUNE_BYTES_MAX',
    MIB,
    'bytes of rows that one such step reads; one larger row still fits',
    { min: KIB, unit: 'bytes' },
  ),
  shard_snapshot_events_min: integer(
    'MEMPLANE_SHARD_SNAPSHOT_EVENTS_MIN',
    50_000,
    'events after which a snapshot of a shard is published …',
    { min: 1 },
  ),
  shardSnapshotIntervalMs: integer(
    'MEMPLANE_SHARD_SNAPSHOT_INTERVAL_MS',
    60 * 60_000,
    '… if the last one is this old',
    { unit: 'ms' },
  ),
  s3Endpoint: text(
    'MEMPLANE_S3_ENDPOINT',
    undefined,
    "where the archive's S3 storage answers; its keys come from the secret store",
  ),
  s3Bucket: text('MEMPLANE_S3_BUCKET', 'memplane', 'bucket of the archive'),
  s3Region: text('MEMPLANE_S3_REGION', 'us-east-1', 'region of that storage'),
  viewsPublishing: flag(
    'MEMPLANE_VIEWS_PUBLISHING',
    true,
    'publish changed views to memory-views, where there is a sidecar',
  ),
  views_publish_bytes_max: integer(
    'MEMPLANE_VIEWS_PUBLISH_BYTES_MAX',
    MIB,
    'bytes of changed views that are read and published at once, for a shard',
    { min: KIB, unit: 'bytes' },
  ),
  view_message_bytes_max: integer(
    'MEMPLANE_VIEW_MESSAGE_BYTES_MAX',
    MIB,
    'a view of more bytes is published without its content; what the broker takes is more',
    { min: KIB, unit: 'bytes' },
  ),
  views_publishes_at_once_max: integer(
    'MEMPLANE_VIEWS_PUBLISHES_AT_ONCE_MAX',
    4,
    'shards that publish changed views at once',
    { min: 1, max: 64 },
  ),
  viewsPublishIntervalMs: integer(
    'MEMPLANE_VIEWS_PUBLISH_INTERVAL_MS',
    50,
    'how long changes of a shard are gathered before they are published',
    { unit: 'ms' },
  ),
  viewsPublishTimeoutMs: integer(
    'MEMPLANE_VIEWS_PUBLISH_TIMEOUT_MS',
    8_000,
    'longest that one publishing may take; less than an owner has to let go of a shard',
    { min: 1, unit: 'ms' },
  ),
  viewsPublishRetryMsMax: integer(
    'MEMPLANE_VIEWS_PUBLISH_RETRY_MS_MAX',
    10_000,
    'longest pause between two attempts to publish',
    { min: 1, unit: 'ms' },
  ),
  viewsRepeatDelayMs: integer(
    'MEMPLANE_VIEWS_REPEAT_DELAY_MS',
    60_000,
    'after this nothing is under way any more that was given up, or sent by an earlier owner: what changed is published once more',
    { min: 1, unit: 'ms' },
  ),
  viewsRepeatWindowMs: integer(
    'MEMPLANE_VIEWS_REPEAT_WINDOW_MS',
    15 * 60_000,
    'how far back from its beginning a new owner does so: as long as an earlier one may have been paused',
    { unit: 'ms' },
  ),
  inflight_requests_max: integer('MEMPLANE_INFLIGHT_REQUESTS_MAX', 1_024, 'requests under way', {
    min: 1,
  }),
  connections_max: integer('MEMPLANE_CONNECTIONS_MAX', 2_048, 'connections', { min: 1 }),
  drainTimeoutMs: integer('MEMPLANE_DRAIN_TIMEOUT_MS', 10_000, 'longest drain', { unit: 'ms' }),
} as const;

export type MaterializerConfig = Config<typeof MATERIALIZER_SETTINGS>;

/** @throws ConfigError that names every wrong setting */
export function readMaterializerConfig(env: Env): MaterializerConfig {
  return readConfig(MATERIALIZER_SETTINGS, env);
}

/** Where the other services answer: only crdt-sync is ever asked. */
export function serviceUrls(config: MaterializerConfig): Record<ServiceName, string> {
  const at = (port: number) => `http://127.0.0.1:${port}`;
  return {
    'event-ingest': at(SERVICES['event-ingest'].port),
    materializer: at(config.port),
    'crdt-sync': config.crdtSyncUrl,
    'vector-index': at(SERVICES['vector-index'].port),
  };
}

/** What the instances prove themselves by to each other. */
export function peerTokenOf(config: MaterializerConfig): string | undefined {
  const { peerToken, appToken, planeToken, token, tenantsFile } = config;
  // Where there are tenants, agents of `default` have the bearer token: no proof of an instance.
  return peerToken ?? appToken ?? planeToken ?? (tenantsFile === undefined ? token : undefined);
}

/**
 * Where the other instances reach this one.
 * @throws ConfigError where other machines would be let in without a token
 */
export function peerUrlOf(config: MaterializerConfig): string {
  const { host, peerPort, peerUrl } = config;
  const isLocal = host === 'localhost' || host === '::1' || host.startsWith('127.');
  if (config.tenantsFile !== undefined && peerTokenOf(config) === undefined) {
    throw new ConfigError(
      'With MEMPLANE_TENANTS, set MEMPLANE_PEER_TOKEN to a secret that all instances share.',
    );
  }
  if (!isLocal && peerTokenOf(config) === undefined) {
    throw new ConfigError(
      `MEMPLANE_HOST=${host} lets other machines in: set MEMPLANE_PEER_TOKEN to a secret that all instances share.`,
    );
  }
  if (peerUrl !== undefined) return peerUrl;
  if (host === '0.0.0.0' || host === '::') {
    throw new ConfigError(
      `MEMPLANE_HOST=${host} is no address to call: set MEMPLANE_MATERIALIZER_PEER_URL to where the others reach this instance.`,
    );
  }
  return `http://${host.includes(':') ? `[${host}]` : host}:${peerPort}`;
}
