import { NAME_PATTERN, SERVICES } from '@memplane/contracts';
import { type HostAndPort, KEY_BYTES, KEYS_MAX, parseAddress } from '@memplane/gossip';
import {
  type Config,
  ConfigError,
  type Env,
  integer,
  isLoopback,
  type Setting,
  text,
} from '@memplane/runtime';

/** What concerns the other replicas. Gossip is on where `MEMPLANE_GOSSIP_JOIN` is set. */
export const CLUSTER_SETTINGS = {
  gossipJoin: list(
    'MEMPLANE_GOSSIP_JOIN',
    'where other replicas are looked for: `host:port` of some, or a name that stands for all ' +
      'their addresses, comma-separated; this replica alone without',
    parseAddress,
  ),
  gossipHost: text(
    'MEMPLANE_GOSSIP_HOST',
    undefined,
    'IP address that gossip listens on (UDP and TCP), by default MEMPLANE_HOST',
  ),
  gossipPort: integer('MEMPLANE_GOSSIP_PORT', SERVICES['crdt-sync'].gossipPort, 'port of gossip', {
    max: 65_535,
  }),
  gossipAdvertise: address(
    'MEMPLANE_GOSSIP_ADVERTISE',
    '`host:port` at which other replicas reach this one, by default where it listens',
  ),
  clusterName: text('MEMPLANE_CLUSTER', 'memplane', 'name of the cluster; others are not heard'),
  gossipKeys: text(
    'MEMPLANE_GOSSIP_KEYS',
    undefined,
    'keys of gossip, base64 of 32 bytes each, comma-separated: the first seals, all open',
  ),
  gossipJoinIntervalMs: integer(
    'MEMPLANE_GOSSIP_JOIN_INTERVAL_MS',
    5_000,
    'how often replicas that are not known are looked for, and lost ones tried again',
    { min: 10, unit: 'ms' },
  ),
  heartbeatIntervalMs: integer(
    'MEMPLANE_HEARTBEAT_INTERVAL_MS',
    2_000,
    'between two heartbeats to each other replica',
    { min: 50, max: 3_600_000, unit: 'ms' },
  ),
  heartbeats_missed_max: integer(
    'MEMPLANE_HEARTBEATS_MISSED_MAX',
    3,
    'heartbeats that must fail to come in a row, until an alert says that replicas are cut off',
    { min: 2, max: 100 },
  ),
  syncIntervalMs: integer(
    'MEMPLANE_SYNC_INTERVAL_MS',
    100,
    'how often what was committed is sent to the other replicas',
    { min: 10, max: 60_000, unit: 'ms' },
  ),
  replicaCallTimeoutMs: integer(
    'MEMPLANE_REPLICA_CALL_TIMEOUT_MS',
    2_000,
    'longest wait for an answer of another replica, for a quorum above all',
    { min: 10, unit: 'ms' },
  ),
  handOverTimeoutMs: integer(
    'MEMPLANE_HAND_OVER_TIMEOUT_MS',
    2_000,
    'how long a replica that ends waits until the others have what was committed here',
    { unit: 'ms' },
  ),
  replicaSet: list(
    'MEMPLANE_REPLICA_SET',
    'ids of all replicas, comma-separated, of which quorums are majorities; this one alone without. ' +
      'Beside a sidecar it is what a plane begins with, and `memplane replicas` changes it',
    checkId,
  ),
  replicaSetPollMs: integer(
    'MEMPLANE_REPLICA_SET_POLL_MS',
    2_000,
    'how often the record of the replica set is looked at',
    { min: 10, max: 600_000, unit: 'ms' },
  ),
} as const;

/** How gossip is to be run. */
export interface GossipConfig {
  readonly join: readonly string[];
  readonly host: string;
  readonly port: number;
  readonly advertise: HostAndPort | undefined;
  /** The first seals, all open. A secret. */
  readonly keys: readonly Uint8Array[];
}

export interface ClusterConfig {
  /** Undefined: this replica is alone. */
  readonly gossip: GossipConfig | undefined;
  readonly replicaSet: readonly string[];
}

type Settings = Config<typeof CLUSTER_SETTINGS> & {
  readonly host: string;
  readonly replicaId: string;
};

const ALL_ADDRESSES: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** @throws ConfigError that says what is wrong, and what to do; never a key. */
export function clusterConfigOf(settings: Settings, env: Env): ClusterConfig {
  const { replicaId } = settings;
  const replicaSet = settings.replicaSet ?? [replicaId];
  if (!replicaSet.includes(replicaId)) {
    throw new ConfigError(
      `MEMPLANE_REPLICA_SET=${replicaSet} must name this replica (MEMPLANE_REPLICA_ID=${replicaId}).`,
    );
  }
  const { gossipJoin: join, gossipPort: port, gossipAdvertise: advertise } = settings;
  if (join === undefined) return { gossip: undefined, replicaSet };
  if (!env['MEMPLANE_REPLICA_ID']) {
    throw new ConfigError(
      'MEMPLANE_GOSSIP_JOIN is set, so this replica needs an id that no other one has: set ' +
        'MEMPLANE_REPLICA_ID, and keep it over restarts.',
    );
  }
  if (!NAME_PATTERN.test(replicaId)) {
    throw new ConfigError(`MEMPLANE_REPLICA_ID=${replicaId} must match ${NAME_PATTERN.source}.`);
  }
  const host = settings.gossipHost || settings.host;
  if (ALL_ADDRESSES.has(host) && advertise === undefined) {
    throw new ConfigError(
      `Gossip listens on all addresses (${host}): set MEMPLANE_GOSSIP_ADVERTISE to the ` +
        '`host:port` at which other replicas reach this one.',
    );
  }
  const keys = keysOf(settings.gossipKeys);
  if (!isLoopback(host) && keys.length === 0) {
    throw new ConfigError(
      `Gossip on ${host} would let other machines in. Set MEMPLANE_GOSSIP_KEYS to a secret that ` +
        'all replicas share (e.g. of `openssl rand -base64 32`), or MEMPLANE_GOSSIP_HOST to ' +
        '127.0.0.1.',
    );
  }
  return { gossip: { join, host, port, advertise, keys }, replicaSet };
}

/** What is wrong with a key must be said without the key. */
function keysOf(textOfKeys: string | undefined): Uint8Array[] {
  const texts = itemsOf(textOfKeys ?? '');
  const keys = texts.map((each) => Buffer.from(each, 'base64'));
  const isWrong = keys.some((key, i) => {
    return key.length !== KEY_BYTES || key.toString('base64') !== texts[i];
  });
  if (isWrong || keys.length > KEYS_MAX) {
    throw new ConfigError(
      `MEMPLANE_GOSSIP_KEYS must be at most ${KEYS_MAX} keys, comma-separated, each base64 of ` +
        `${KEY_BYTES} bytes (as \`openssl rand -base64 ${KEY_BYTES}\` makes one).`,
    );
  }
  return keys;
}

function list(
  env: string,
  description: string,
  check: (item: string) => unknown,
): Setting<readonly string[] | undefined> {
  const parse = (value: string) => {
    const items = [...new Set(itemsOf(value))];
    if (items.length === 0) throw new Error('must name at least one');
    for (const item of items) check(item);
    return items;
  };
  return { env, fallback: undefined, description, parse };
}

function address(env: string, description: string): Setting<HostAndPort | undefined> {
  return { env, fallback: undefined, description, parse: parseAddress };
}

function itemsOf(value: string): string[] {
  return value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function checkId(id: string): void {
  if (!NAME_PATTERN.test(id)) throw new Error(`${id} must match ${NAME_PATTERN.source}`);
}
