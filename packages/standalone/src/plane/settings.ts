import { isIP } from 'node:net';
import { SERVICES, type ServiceName } from '@memplane/contracts';
import {
  type Config,
  ConfigError,
  type Env,
  IDENTITY_SETTINGS,
  integer,
  isLoopback,
  readConfig,
  text,
} from '@memplane/runtime';
import { dataDirOf } from './data-dir.ts';

/** What the composition root itself is set by; each service reads its own settings beside these. */
export const STANDALONE_SETTINGS = {
  host: text('MEMPLANE_HOST', '127.0.0.1', 'Address to listen on.'),
  token: text('MEMPLANE_TOKEN', undefined, 'Bearer token that every call but the probes needs.'),
  ...IDENTITY_SETTINGS,
  logLevel: text('MEMPLANE_LOG_LEVEL', 'warn', 'Level of the logs: debug, info, warn or error.'),
  drainTimeoutMs: integer(
    'MEMPLANE_DRAIN_TIMEOUT_MS',
    10_000,
    'The longest that ending may take; what is not done then is done at the next start.',
    { unit: 'ms', min: 100 },
  ),
  startTimeoutMs: integer(
    'MEMPLANE_START_TIMEOUT_MS',
    120_000,
    'The longest that a service may take until it listens.',
    { unit: 'ms', min: 1000 },
  ),
  partitions: integer('MEMPLANE_PARTITIONS', 12, 'Partitions of a new log.', { min: 1, max: 4096 }),
} as const;

export type StandaloneConfig = Config<typeof STANDALONE_SETTINGS> & {
  readonly dataDir: string;
  /** Where each service can be reached from this machine. */
  readonly urls: Readonly<Record<ServiceName, string>>;
  readonly respPort: number;
};

export const PORT_VARIABLES = {
  'event-ingest': 'MEMPLANE_EVENT_INGEST_PORT',
  materializer: 'MEMPLANE_MATERIALIZER_PORT',
  'crdt-sync': 'MEMPLANE_CRDT_SYNC_PORT',
  'vector-index': 'MEMPLANE_VECTOR_INDEX_PORT',
} as const satisfies Record<ServiceName, string>;

/** @throws ConfigError that says what is wrong, and what to do. */
export function readStandaloneConfig(env: Env): StandaloneConfig {
  const config = readConfig(STANDALONE_SETTINGS, env);
  if (!isLoopback(config.host) && !config.token && !config.tenantsFile) {
    throw new ConfigError(
      `MEMPLANE_HOST=${config.host} would let other machines in. Set MEMPLANE_TOKEN to a secret ` +
        'that every call must carry, or leave MEMPLANE_HOST at 127.0.0.1.',
    );
  }
  const ports = { ...DEFAULT_PORTS };
  const settings = Object.entries(PORT_VARIABLES) as [ServiceName, string][];
  for (const [name, variable] of settings) ports[name] = portOf(env, variable, ports[name]);
  const host = reachableHost(config.host);
  return {
    ...config,
    dataDir: dataDirOf(env),
    urls: mapValues(ports, (port) => `http://${host}:${port}`),
    respPort: portOf(env, 'MEMPLANE_RESP_PORT', SERVICES['crdt-sync'].respPort),
  };
}

const DEFAULT_PORTS: Record<ServiceName, number> = {
  'event-ingest': SERVICES['event-ingest'].port,
  materializer: SERVICES.materializer.port,
  'crdt-sync': SERVICES['crdt-sync'].port,
  'vector-index': SERVICES['vector-index'].port,
};

function portOf(env: Env, variable: string, fallback: number): number {
  const setting = integer(variable, fallback, 'A port.', { min: 1, max: 65_535 });
  return readConfig({ port: setting }, env).port;
}

/** How this machine calls a service that listens on all addresses. */
function reachableHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return isIP(host) === 6 ? `[${host}]` : host;
}

function mapValues<K extends string, A, B>(record: Record<K, A>, map: (a: A) => B): Record<K, B> {
  const entries = Object.entries(record) as [K, A][];
  return Object.fromEntries(entries.map(([key, value]) => [key, map(value)])) as Record<K, B>;
}
