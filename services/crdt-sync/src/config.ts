import { SERVICES } from '@memplane/contracts';
import { CLAIMS_MAX } from '@memplane/crdt';
import {
  ADMISSION_SETTINGS,
  APP_TOKEN_SETTING,
  type Config,
  type Env,
  IDENTITY_SETTINGS,
  integer,
  oneOf,
  readConfig,
  STRONG_SETTINGS,
  text,
} from '@memplane/runtime';

import { CLUSTER_SETTINGS, type ClusterConfig, clusterConfigOf } from './cluster-config.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Every setting of the service, with its unit in its name. */
export const SETTINGS = {
  host: text('MEMPLANE_HOST', '127.0.0.1', 'address that HTTP and RESP listen on'),
  port: integer('MEMPLANE_CRDT_SYNC_PORT', SERVICES['crdt-sync'].port, 'HTTP port', {
    max: 65_535,
  }),
  respPort: integer('MEMPLANE_RESP_PORT', SERVICES['crdt-sync'].respPort, 'RESP port', {
    max: 65_535,
  }),
  dataDir: text('MEMPLANE_DATA_DIR', undefined, 'folder of the data; crdt-sync uses `crdt` in it'),
  token: text('MEMPLANE_TOKEN', undefined, 'token that HTTP (Bearer) and RESP (AUTH) callers need'),
  appToken: APP_TOKEN_SETTING,
  ...IDENTITY_SETTINGS,
  ...ADMISSION_SETTINGS,
  operatorToken: text(
    'MEMPLANE_OPERATOR_TOKEN',
    undefined,
    'token that lets an operator move a derived counter to another log',
  ),
  instance: text(
    'MEMPLANE_INSTANCE',
    'crdt-sync-0',
    'name of this instance among those that share a Redis, kept over restarts',
  ),
  redisUrl: text(
    'MEMPLANE_REDIS_URL',
    undefined,
    'Redis that instances share (`redis://host:port[/db]`, `rediss:` for TLS); a folder without',
  ),
  redisPassword: text('MEMPLANE_REDIS_PASSWORD', undefined, 'password of that Redis'),
  redisAppendfsync: oneOf(
    'MEMPLANE_REDIS_APPENDFSYNC',
    ['everysec', 'always'],
    'everysec',
    "what Redis's AOF must at least have: `everysec` may lose the last second of a crash",
  ),
  redisStartTimeoutMs: integer(
    'MEMPLANE_REDIS_START_TIMEOUT_MS',
    30_000,
    'longest wait for a usable Redis at start',
    { min: 1, unit: 'ms' },
  ),
  redisConnectTimeoutMs: integer(
    'MEMPLANE_REDIS_CONNECT_TIMEOUT_MS',
    3_000,
    'longest connecting and checking of Redis',
    { min: 1, unit: 'ms' },
  ),
  redisCommandTimeoutMs: integer(
    'MEMPLANE_REDIS_COMMAND_TIMEOUT_MS',
    3_000,
    'longest wait for an answer of Redis; then the connection is given up',
    { min: 1, unit: 'ms' },
  ),
  redis_reconnect_delay_ms_max: integer(
    'MEMPLANE_REDIS_RECONNECT_DELAY_MS_MAX',
    1_000,
    'longest pause between two attempts to reach Redis',
    { min: 1, unit: 'ms' },
  ),
  redis_batch_commands_max: integer(
    'MEMPLANE_REDIS_BATCH_COMMANDS_MAX',
    1_024,
    'commands that share calls of Redis',
    { min: 1 },
  ),
  redis_call_elements_max: integer(
    'MEMPLANE_REDIS_CALL_ELEMENTS_MAX',
    1_024,
    'commands, or elements of theirs, in one call: for so long others wait for Redis',
    { min: 1 },
  ),
  alertPublishIntervalMs: integer(
    'MEMPLANE_ALERT_PUBLISH_INTERVAL_MS',
    1_000,
    'how often alerts that `memory-alerts` does not have yet are published',
    { min: 10, unit: 'ms' },
  ),
  ...STRONG_SETTINGS,
  replicaId: text('MEMPLANE_REPLICA_ID', 'replica-0', 'id of this replica, kept over restarts'),
  ...CLUSTER_SETTINGS,
  logLevel: text('MEMPLANE_LOG_LEVEL', 'info', 'trace, debug, info, warn, error or silent'),
  otlpEndpoint: text('OTEL_EXPORTER_OTLP_ENDPOINT', undefined, 'where spans go; none without'),
  drainTimeoutMs: integer('MEMPLANE_DRAIN_TIMEOUT_MS', 5_000, 'longest draining', { unit: 'ms' }),
  inflight_requests_max: integer(
    'MEMPLANE_INFLIGHT_REQUESTS_MAX',
    1_024,
    'HTTP requests under way at once',
    { min: 1 },
  ),
  connections_max: integer('MEMPLANE_CONNECTIONS_MAX', 2_048, 'HTTP connections', { min: 1 }),
  resp_connections_max: integer('MEMPLANE_RESP_CONNECTIONS_MAX', 2_048, 'RESP connections', {
    min: 1,
  }),
  resp_pipeline_commands_max: integer(
    'MEMPLANE_RESP_PIPELINE_COMMANDS_MAX',
    4_096,
    'commands of one connection that may wait; it is not read from beyond',
    { min: 1 },
  ),
  resp_command_bytes_max: integer(
    'MEMPLANE_RESP_COMMAND_BYTES_MAX',
    MIB,
    'longest command; a longer one is a protocol error',
    { min: 4_096, unit: 'bytes' },
  ),
  resp_output_bytes_max: integer(
    'MEMPLANE_RESP_OUTPUT_BYTES_MAX',
    MIB,
    'answers that may wait for a slow reader; its connection is not read from beyond',
    { min: 1_024, unit: 'bytes' },
  ),
  resp_unauthenticated_timeout_ms: integer(
    'MEMPLANE_RESP_UNAUTHENTICATED_TIMEOUT_MS',
    10_000,
    'longest wait for AUTH where a token is set',
    { min: 1, unit: 'ms' },
  ),
  queued_commands_max: integer(
    'MEMPLANE_CRDT_QUEUED_COMMANDS_MAX',
    65_536,
    'commands that wait for a commit; more are refused',
    { min: 1 },
  ),
  batch_commands_max: integer(
    'MEMPLANE_CRDT_BATCH_COMMANDS_MAX',
    8_192,
    'commands that share one commit',
    { min: 1 },
  ),
  hot_bytes_max: integer(
    'MEMPLANE_CRDT_HOT_BYTES_MAX',
    32 * MIB,
    'memory for values kept hot, roughly',
    { min: 1, unit: 'bytes' },
  ),
  scans_max: integer('MEMPLANE_CRDT_SCANS_MAX', 16, 'scans of sets and lists at once', { min: 1 }),
  set_elements_max: integer('MEMPLANE_SET_ELEMENTS_MAX', 100_000, 'elements of one set', {
    min: 1,
  }),
  set_bytes_max: integer('MEMPLANE_SET_BYTES_MAX', 8 * MIB, 'bytes of all elements of one set', {
    min: 1,
    unit: 'bytes',
  }),
  map_bytes_max: integer('MEMPLANE_MAP_BYTES_MAX', 256 * KIB, 'bytes of one map as it is stored', {
    min: 1_024,
    unit: 'bytes',
  }),
  op_ids_per_counter_max: integer(
    'MEMPLANE_OP_IDS_PER_COUNTER_MAX',
    262_144,
    'operation ids that each counter remembers; more are refused until some may be forgotten',
    { min: 1, max: CLAIMS_MAX / 4 },
  ),
  opid_memory_ms: integer(
    'MEMPLANE_OPID_MEMORY_MS',
    600_000,
    'how long an operation id may be repeated, on all replicas alike; older UUIDv7 are refused',
    { min: 1_000, unit: 'ms' },
  ),
  contested_ids_per_counter_max: integer(
    'MEMPLANE_CONTESTED_IDS_PER_COUNTER_MAX',
    4_096,
    'operation ids of each counter that several replicas counted, until a reset; more are refused',
    { min: 1 },
  ),
  alerts_max: integer('MEMPLANE_ALERTS_MAX', 256, 'alerts kept', { min: 1 }),
  storageProbeIntervalMs: integer(
    'MEMPLANE_CRDT_STORAGE_PROBE_INTERVAL_MS',
    1_000,
    'how often a write is tried while the storage fails',
    { min: 10, unit: 'ms' },
  ),
  hlc_drift_max_ms: integer(
    'MEMPLANE_HLC_DRIFT_MAX_MS',
    60_000,
    'how far ahead a stamp from elsewhere may be',
    { unit: 'ms' },
  ),
  wait_ms_max: integer(
    'MEMPLANE_WAIT_MS',
    2_000,
    'how long CRDT.AFTER waits, and reads with `after` that do not say it',
    { max: 30_000, unit: 'ms' },
  ),
} as const;

export type CrdtSyncConfig = Omit<Config<typeof SETTINGS>, keyof ClusterConfig> & ClusterConfig;

/** @throws ConfigError that names every wrong setting. */
export function readCrdtSyncConfig(env: Env): CrdtSyncConfig {
  const config = readConfig(SETTINGS, env);
  return { ...config, ...clusterConfigOf(config, env) };
}
