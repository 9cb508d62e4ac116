import { LIMITS, SERVICES } from '@memplane/contracts';
import {
  ADMISSION_SETTINGS,
  APP_TOKEN_SETTING,
  type Config,
  type Env,
  IDENTITY_SETTINGS,
  integer,
  readConfig,
  STRONG_SETTINGS,
  text,
} from '@memplane/runtime';

/** Every setting of event-ingest. Names end in their unit. */
export const INGEST_SETTINGS = {
  host: text('MEMPLANE_HOST', '127.0.0.1', 'Address to listen on.'),
  port: integer(
    'MEMPLANE_EVENT_INGEST_PORT',
    SERVICES['event-ingest'].port,
    'Port of event-ingest; 0 takes a free one.',
    { max: 65_535 },
  ),
  token: text('MEMPLANE_TOKEN', undefined, 'Bearer token that every call but the probes needs.'),
  appToken: APP_TOKEN_SETTING,
  ...IDENTITY_SETTINGS,
  ...ADMISSION_SETTINGS,
  logLevel: text('MEMPLANE_LOG_LEVEL', 'info', 'Level of the logs: debug, info, warn or error.'),
  otlpEndpoint: text(
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    undefined,
    'Where spans are sent (OTLP over HTTP); none are recorded without it.',
  ),
  embeddingDimensions: integer(
    'MEMPLANE_EMBEDDING_DIMENSIONS',
    LIMITS.vector_dimensions_default,
    'Dimensions of every embedding.',
    { min: 1, max: LIMITS.vector_dimensions_max },
  ),
  recent_ids_max: integer(
    'MEMPLANE_RECENT_IDS_MAX',
    200_000,
    'How many recent ids are kept to recognise repetitions; about 60 bytes each.',
    { min: 1, max: 50_000_000 },
  ),
  clockDriftMs: integer(
    'MEMPLANE_CLOCK_DRIFT_MS',
    500,
    "How far a received stamp may be ahead of this node's clock.",
    { unit: 'ms', max: 3_600_000 },
  ),
  produceDeadlineMs: integer(
    'MEMPLANE_PRODUCE_DEADLINE_MS',
    500,
    'Events that the log has not begun to store after this are stamped anew.',
    { unit: 'ms', min: 1, max: 3_600_000 },
  ),
  restamps_max: integer(
    'MEMPLANE_INGEST_RESTAMPS_MAX',
    10,
    'How often the events of a request are stamped anew before it is answered 503.',
    { max: 1_000 },
  ),
  inflight_events_max: integer(
    'MEMPLANE_INGEST_INFLIGHT_EVENTS_MAX',
    20_000,
    'Events that may wait for the log at once; more are answered 429.',
    { min: 1 },
  ),
  inflight_bytes_max: integer(
    'MEMPLANE_INGEST_INFLIGHT_BYTES_MAX',
    64 * 1024 * 1024,
    'Bytes of events that may wait for the log at once; more are answered 429.',
    { min: 1, unit: 'bytes' },
  ),
  thread_bytes_min: integer(
    'MEMPLANE_INGEST_THREAD_BYTES_MIN',
    32 * 1024,
    'Bodies of at least so many bytes are parsed and checked in a thread of their own; 0: none.',
    { unit: 'bytes' },
  ),
  inflight_requests_max: integer(
    'MEMPLANE_INGEST_INFLIGHT_REQUESTS_MAX',
    1024,
    'Requests under way at once; more are answered 429.',
    { min: 1 },
  ),
  connections_max: integer('MEMPLANE_CONNECTIONS_MAX', 4096, 'Open connections.', { min: 1 }),
  drainTimeoutMs: integer(
    'MEMPLANE_DRAIN_TIMEOUT_MS',
    10_000,
    'How long requests under way are waited for at the end.',
    { unit: 'ms' },
  ),
  archive_lag_bytes_max: integer(
    'MEMPLANE_ARCHIVE_LAG_BYTES_MAX',
    8 * 1024 * 1024 * 1024,
    'How far the archive may be behind the log before appends are answered 429; 0: no bound.',
    { unit: 'bytes' },
  ),
  archivePollMs: integer(
    'MEMPLANE_ARCHIVE_POLL_MS',
    5_000,
    'How often the materializer is asked how far its archive is behind.',
    { unit: 'ms', min: 100 },
  ),
  view_lag_events_max: integer(
    'MEMPLANE_VIEW_LAG_EVENTS_MAX',
    10_000_000,
    'How many events the views may be behind the log; from half of it on ever more appends are answered 429; 0: no bound.',
  ),
  index_lag_events_max: integer(
    'MEMPLANE_INDEX_LAG_EVENTS_MAX',
    5_000_000,
    'How many events the index may be behind the log; from half of it on ever more appends are answered 429; 0: no bound.',
  ),
  lagPollMs: integer(
    'MEMPLANE_LAG_POLL_MS',
    2_000,
    'How often views and index are asked how far they are, and what tenants have stored.',
    { unit: 'ms', min: 100 },
  ),
  kafkaBrokers: text(
    'MEMPLANE_KAFKA_BROKERS',
    undefined,
    'Brokers of the log, host:port, separated by commas; without them the log is a folder.',
  ),
  kafkaDeliveryDeadlineMs: integer(
    'MEMPLANE_KAFKA_DELIVERY_DEADLINE_MS',
    10_000,
    'How long an append to Kafka is tried; with the drift, within MEMPLANE_TIME_CUT_SETTLE_MS.',
    { unit: 'ms', min: 100, max: 120_000 },
  ),
  kafkaStallMs: integer(
    'MEMPLANE_KAFKA_STALL_MS',
    3_000,
    'How long Kafka may acknowledge nothing of what is under way before appends are refused.',
    { unit: 'ms', min: 100, max: 120_000 },
  ),
  sidecarTimeoutMs: integer(
    'MEMPLANE_SIDECAR_TIMEOUT_MS',
    60_000,
    'How long the sidecar is waited for at the start.',
    { unit: 'ms' },
  ),
  recentIdsTtlSeconds: integer(
    'MEMPLANE_RECENT_IDS_TTL_SECONDS',
    3_600,
    'How long recent ids are kept in the state store; about 200 bytes each there.',
    { unit: 's', min: 1, max: 30 * 86_400 },
  ),
  recentIdsTimeoutMs: integer(
    'MEMPLANE_RECENT_IDS_TIMEOUT_MS',
    500,
    'How long an append waits for the state store; after that its ids are unknown.',
    { unit: 'ms', min: 1, max: 60_000 },
  ),
  recentIdsPauseMs: integer(
    'MEMPLANE_RECENT_IDS_PAUSE_MS',
    1_000,
    'How long a state store that has failed is not asked.',
    { unit: 'ms', max: 60_000 },
  ),
  recent_ids_queue_max: integer(
    'MEMPLANE_RECENT_IDS_QUEUE_MAX',
    50_000,
    'Recent ids that wait to be written to the state store.',
    { min: 1 },
  ),
  inbox_keys_max: integer(
    'MEMPLANE_INBOX_KEYS_MAX',
    64,
    'Keys of agent-inbox whose messages are appended at once, of one delivery.',
    { min: 1, max: 10_000 },
  ),
  inboxDeliveryTimeoutMs: integer(
    'MEMPLANE_INBOX_DELIVERY_TIMEOUT_MS',
    20_000,
    "How long a delivery takes at most; less than the sidecar's own timeout.",
    { unit: 'ms', min: 100, max: 300_000 },
  ),
  inbox_unexpected_errors_max: integer(
    'MEMPLANE_INBOX_UNEXPECTED_ERRORS_MAX',
    5,
    'How often a message may fail by an unexpected error before it is dead-lettered.',
    { min: 1, max: 1_000 },
  ),
  zonesPath: text(
    'MEMPLANE_ZONES',
    undefined,
    'File of the consistency zones (YAML); the same for all instances. Without it all is eventual.',
  ),
  zonesPollMs: integer(
    'MEMPLANE_ZONES_POLL_MS',
    1_000,
    'How often the file of zones and the table in force are looked at.',
    { unit: 'ms', min: 10, max: 60_000 },
  ),
  zoneRegistrationMs: integer(
    'MEMPLANE_ZONE_REGISTRATION_MS',
    10_000,
    'How long an instance may append after it last reached the strong store; several polls.',
    { unit: 'ms', min: 100, max: 600_000 },
  ),
  sealingKeysFile: text(
    'MEMPLANE_SEALING_KEYS',
    undefined,
    'File of master keys, a line NAME:BASE64 each, the one that wraps first; sealed zones need it.',
  ),
  keys_cached_max: integer(
    'MEMPLANE_KEYS_CACHED_MAX',
    50_000,
    'Keys of entities that are kept in memory; about 500 bytes each.',
    { min: 1, max: 10_000_000 },
  ),
  erasures_open_max: integer(
    'MEMPLANE_ERASURES_OPEN_MAX',
    100,
    'Erasures that may be under way at once; more are answered 429.',
    { min: 1, max: 10_000 },
  ),
  etcdEndpoints: text(
    'MEMPLANE_ETCD_ENDPOINTS',
    undefined,
    'Members of etcd, all of them, to clear their files of removed keys and to list records for a backup; URLs or host:port, with commas.',
  ),
  etcd_turn_bytes: integer(
    'MEMPLANE_ETCD_TURN_BYTES',
    384 * 1024 * 1024,
    "Bytes that make etcd's write-ahead log lose plain events of an erased entity: 64 MiB for each of `--max-wals` files and one more, with `--snapshot-count` of 10,000 or less; 0: such entities are not erased.",
    { unit: 'bytes' },
  ),
  erasurePollMs: integer(
    'MEMPLANE_ERASURE_POLL_MS',
    1_000,
    'How often the stores are asked how far they are with an erasure.',
    { unit: 'ms', min: 10, max: 60_000 },
  ),
  ...STRONG_SETTINGS,
  strongViewWaitMs: integer(
    'MEMPLANE_STRONG_VIEW_WAIT_MS',
    2_000,
    'How long a strong append waits for a view that is behind, to know an old id or a first sequence.',
    { unit: 'ms', max: 30_000 },
  ),
  strongClearMs: integer(
    'MEMPLANE_STRONG_CLEAR_MS',
    200,
    'How long after a strong append its intent is taken out of the head, where no other has followed.',
    { unit: 'ms', min: 1, max: 60_000 },
  ),
  strong_queue_max: integer(
    'MEMPLANE_STRONG_QUEUE_MAX',
    256,
    'Appends and reads of one strong entity that may wait in an instance; more are answered 429.',
    { min: 1, max: 100_000 },
  ),
  lease_waiters_max: integer(
    'MEMPLANE_LEASE_WAITERS_MAX',
    64,
    'Requests that may wait for one lease in an instance; more are answered 429.',
    { min: 1, max: 10_000 },
  ),
  storageRetryMs: integer(
    'MEMPLANE_STORAGE_RETRY_MS',
    1_000,
    'How long after a failed append the service calls itself not ready.',
    { unit: 'ms', min: 1 },
  ),
} as const;

export type IngestConfig = Config<typeof INGEST_SETTINGS>;

/** @throws ConfigError that names every wrong setting */
export function readIngestConfig(env: Env): IngestConfig {
  return readConfig(INGEST_SETTINGS, env);
}
